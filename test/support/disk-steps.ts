import promises, { type FileHandle } from 'node:fs/promises';
import { BundleDatabase } from '../../src/gallery/stores/durable/bundle-database';

/**
 * Calls `onStep` before each change that a durable folder makes on the disk: in a file, in its name, in the database. What it
 * throws is the failure of that change.
 */
export async function watchDisk(onStep: (name: string) => void): Promise<void> {
  const file = await promises.open(__filename, 'r');
  const handles = Object.getPrototypeOf(file) as FileHandle;
  await file.close();
  const watch = <T extends object>(owner: T, methods: (keyof T & string)[]) => {
    for (const method of methods) {
      const original = owner[method] as (...args: unknown[]) => Promise<unknown>;
      jest.spyOn(owner as never, method as never).mockImplementation(async function (
        this: unknown,
        ...args: unknown[]
      ) {
        onStep(method);
        return original.apply(this, args);
      } as never);
    }
  };
  watch(handles, ['write', 'writeFile', 'sync', 'datasync']);
  watch(promises, ['rename', 'rm']);
  watch(BundleDatabase.prototype, ['replace']);
}
