import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { lightenAsyncBind } from './light-async-bind';

describe(lightenAsyncBind.name, () => {
  const { bind } = AsyncResource;

  beforeEach(lightenAsyncBind);
  afterEach(() => {
    AsyncResource.bind = bind;
  });

  it('binds without the deprecated property', () => {
    expect('asyncResource' in AsyncResource.bind(() => 1)).toBe(false);
  });

  it('keeps the async context, the arguments, this and errors', () => {
    const storage = new AsyncLocalStorage<string>();
    const describe = function (this: unknown, a: number, b: number) {
      return [storage.getStore(), this, a + b];
    };
    const bound = storage.run('outer', () => AsyncResource.bind(describe));
    const self = {};
    expect(storage.run('inner', () => bound.call(self, 1, 2))).toEqual(['outer', self, 3]);
    const fixed = storage.run('outer', () => AsyncResource.bind(describe, 'type', self));
    expect(fixed.call(null, 2, 3)).toEqual(['outer', self, 5]);
    const failing = AsyncResource.bind(() => {
      throw new Error('failed');
    });
    expect(failing).toThrow('failed');
    expect(storage.run('outer', () => AsyncLocalStorage.snapshot())(() => storage.getStore())).toBe('outer');
  });
});
