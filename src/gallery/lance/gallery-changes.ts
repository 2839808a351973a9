import type { Table } from '@lancedb/lancedb';
import { FaceError } from '../../errors';
import { galleryErrors } from '../gallery-errors';
import { GalleryLock } from './gallery-lock';
import { MAKING_ID, type LanceDatabase, type LanceStoreOptions } from './lance-database';
import { isOneOf, sqlText, type FaceRow, type GalleryRow } from './lance-rows';

/** Rows that are written in one commit. */
export interface RowChanges {
  /** New keys. */
  added?: readonly FaceRow[];
  /** Keys that may be there already; rows of them are replaced. */
  replaced?: readonly FaceRow[];
  removedKeys?: readonly string[];
}

/** Rows that may be added under one lock. */
const POSITIONS = 1e9;

/** What one change works with, while nobody else changes the gallery. */
export class Turn {
  /** Something was removed, or may have been where a write failed. */
  hasRemoved = false;

  constructor(
    /** The gallery as it is now. */
    readonly gallery: GalleryRow,
    readonly faces: Table,
    private readonly lock: GalleryLock,
    private readonly position: { next: number },
  ) {}

  /** For a row that is added. */
  nextPosition(): number {
    return this.gallery.turn * POSITIONS + this.position.next++;
  }

  async write({ added = [], replaced = [], removedKeys = [] }: RowChanges): Promise<void> {
    this.lock.check();
    this.hasRemoved ||= removedKeys.length > 0;
    const removed = isOneOf('key', removedKeys);
    // Adding and deleting by themselves are ten times as fast as a merge, which reads the whole table.
    if (replaced.length > 0) {
      const merge = this.faces.mergeInsert('key').whenMatchedUpdateAll().whenNotMatchedInsertAll();
      const data = [...added, ...replaced].map((row) => ({ ...row }));
      await (removedKeys.length > 0 ? merge.whenNotMatchedBySourceDelete({ where: removed }) : merge).execute(
        data,
      );
    } else if (added.length > 0) {
      await this.faces.add(added.map((row) => ({ ...row })));
    } else if (removedKeys.length > 0) {
      await this.faces.delete(removed);
    }
  }
}

interface Change {
  work: (turn: Turn) => Promise<void>;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** Most changes under one lock, so that other replicas have their turn. */
const MAX_CHANGES = 64;
/** Every so many turns the small files of single changes are put together. */
const TURNS_TO_COMPACTION = 64;
/** Versions go when they are so old: nobody reads them any more. */
const KEEP_VERSIONS_MS = 60_000;

/**
 * Changes of galleries: one after the other, in this process and among all that share the database. Those that wait are made
 * under one lock, and what they remove is erased together.
 */
export class GalleryChanges {
  private readonly waiting = new Map<string, Change[]>();

  constructor(
    private readonly database: LanceDatabase,
    private readonly onNotice: LanceStoreOptions['onNotice'],
  ) {}

  /** Makes a change when its turn has come, and settles when what it removed is gone from the files too. */
  run<T>(galleryId: string, work: (turn: Turn) => Promise<T>): Promise<T> {
    const outcome = new Promise<T>((resolve, reject) => {
      let value: T;
      const change: Change = {
        work: async (turn) => {
          value = await work(turn);
        },
        resolve: () => resolve(value),
        reject,
      };
      const waiting = this.waiting.get(galleryId);
      if (waiting) waiting.push(change);
      else {
        this.waiting.set(galleryId, [change]);
        void this.database.track(this.takeTurns(galleryId));
      }
    });
    return outcome;
  }

  private async takeTurns(galleryId: string): Promise<void> {
    const waiting = this.waiting.get(galleryId) as Change[];
    while (waiting.length > 0) {
      const changes = waiting.splice(0, MAX_CHANGES);
      await this.takeTurn(galleryId, changes).catch((error: unknown) => {
        for (const change of changes) change.reject(asStoreFailure(error));
      });
    }
    this.waiting.delete(galleryId);
  }

  private async takeTurn(galleryId: string, changes: readonly Change[]): Promise<void> {
    const lock = await GalleryLock.take(this.database, galleryId);
    let isClean = !lock.wasAbandoned;
    try {
      if (!isClean) {
        await this.erase(galleryId);
        isClean = true;
      }
      const removals: Change[] = [];
      const position = { next: 0 };
      let turn: Turn | undefined;
      for (const change of changes) {
        try {
          const gallery = await this.database.galleryRow(galleryId);
          turn = new Turn(gallery, await this.database.faces(gallery), lock, position);
          await change.work(turn);
          if (turn.hasRemoved) removals.push(change);
          else change.resolve();
        } catch (error) {
          change.reject(asStoreFailure(error));
        }
        if (turn?.hasRemoved) isClean = false;
      }
      if (!isClean) {
        await this.erase(galleryId);
        isClean = true;
      }
      for (const change of removals) change.resolve();
      if (turn) await this.compact(turn);
    } finally {
      await lock.release(isClean).catch(() => this.warn('A lock of a gallery could not be given back.'));
    }
  }

  private async erase(galleryId: string): Promise<void> {
    // While galleries are made, nothing is removed.
    const where = `id = ${sqlText(galleryId)} AND id <> ${sqlText(MAKING_ID)} AND NOT isDeleted`;
    for (const gallery of await this.database.galleryRows(where)) {
      await this.database.eraseDeleted(await this.database.faces(gallery), 'position', true);
    }
  }

  private async compact({ gallery, faces }: Turn): Promise<void> {
    if (gallery.turn % TURNS_TO_COMPACTION !== 0) return;
    const old = new Date(Date.now() - KEEP_VERSIONS_MS);
    try {
      await faces.optimize({ cleanupOlderThan: old });
      await this.database.galleries.optimize({ cleanupOlderThan: old });
    } catch {
      this.warn('The files of a gallery could not be put together; it is tried again later.');
    }
  }

  private warn(message: string): void {
    this.onNotice?.({ level: 'warn', message });
  }
}

function asStoreFailure(error: unknown): FaceError {
  return error instanceof FaceError ? error : galleryErrors.storeFailed(error);
}
