import { setTimeout as delay } from 'node:timers/promises';
import type { Connection, Table } from '@lancedb/lancedb';
import { FaceError } from '../../errors';
import { galleryErrors } from '../gallery-errors';
import type { LanceStoreOptions } from './lance.options';
import { loadLancePackage, type LancePackage } from './lance-package';
import { faceSchema, gallerySchema, sqlText, type FaceRow, type GalleryRow } from './lance-rows';

/** Id of the row that is locked while galleries are made; no gallery has it. */
export const MAKING_ID = '';
const GALLERIES_TABLE = 'galleries';
/** What met files that were cleaned away meanwhile is tried again, with the newest version. */
const MAX_ATTEMPTS = 5;
const RETRY_PAUSE_MS = 20;
/** The longest that a read takes. */
const KEEP_VERSIONS_MS = 60_000;
/** More than clocks differ by: versions that a replica dated ahead of this clock go as well. */
const CLOCK_SKEW_MS = 3_600_000;

/** The tables: one of all galleries, and one for each gallery with its subjects and references. */
export class LanceDatabase {
  /**
   * Opens the database and makes the table of galleries where there is none.
   *
   * @throws {FaceError} GALLERY_STORE_INVALID where the packages are absent or the database cannot be opened.
   */
  static async open({ uri, storageOptions }: LanceStoreOptions): Promise<LanceDatabase> {
    const lance = loadLancePackage();
    try {
      // 0: every read looks for changes of other replicas.
      const connection = await lance.lancedb.connect(uri, { readConsistencyInterval: 0, storageOptions });
      return new LanceDatabase(lance, connection, await openGalleries(lance, connection));
    } catch (cause) {
      throw new FaceError(
        'GALLERY_STORE_INVALID',
        'The database of the galleries cannot be opened.',
        {},
        { cause },
      );
    }
  }

  private readonly tables = new Map<string, Promise<Table>>();
  private readonly running = new Set<Promise<unknown>>();

  private constructor(
    private readonly lance: LancePackage,
    private readonly connection: Connection,
    private readonly galleries: Table,
  ) {}

  /** Rows of the table of galleries. */
  galleryRows(where: string): Promise<GalleryRow[]> {
    return this.retried(async () => {
      const rows = (await this.galleries.query().where(where).toArray()) as { toJSON(): GalleryRow }[];
      return rows.map((row) => row.toJSON());
    });
  }

  /** Changes rows of the table of galleries, and says whether there were any. */
  updateGalleries(where: string, values: Partial<GalleryRow>): Promise<boolean> {
    return this.retried(async () => {
      const { rowsUpdated } = await this.galleries.update({ where, values: { ...values } });
      return rowsUpdated > 0;
    });
  }

  /** @throws {FaceError} GALLERY_NOT_FOUND */
  async galleryRow(galleryId: string): Promise<GalleryRow> {
    const [row] = await this.galleryRows(`id = ${sqlText(galleryId)} AND NOT isDeleted`);
    if (row == null) throw galleryErrors.galleryNotFound(galleryId);
    return row;
  }

  /** Table of a gallery's {@link FaceRow}s. */
  faces({ tableName }: GalleryRow): Promise<Table> {
    let table = this.tables.get(tableName);
    if (table == null) {
      table = this.connection.openTable(tableName);
      this.tables.set(tableName, table);
      table.catch(() => this.tables.delete(tableName));
    }
    return table;
  }

  async addGallery(row: GalleryRow): Promise<void> {
    await this.connection.createEmptyTable(row.tableName, faceSchema(this.lance, row.dimensions));
    await this.galleries.add([{ ...row }]);
  }

  /** Puts the small files of single changes of a table together, and removes versions that nobody reads any more. */
  async compact(table: Table): Promise<void> {
    await table.optimize({ cleanupOlderThan: new Date(Date.now() - KEEP_VERSIONS_MS) });
  }

  /** As {@link compact}, the table of galleries. */
  compactGalleries(): Promise<void> {
    return this.compact(this.galleries);
  }

  /** Removes a gallery that is marked as deleted, for good. May be called again where it failed. */
  async dropGallery({ tableName }: GalleryRow): Promise<void> {
    this.tables.delete(tableName);
    await this.connection.dropTable(tableName).catch(async (error: unknown) => {
      // Another replica may have been first.
      const isThere = await this.connection.openTable(tableName).then(
        () => true,
        () => false,
      );
      if (isThere) throw error;
    });
    await this.retried(async () => {
      await this.galleries.delete(`tableName = ${sqlText(tableName)}`);
      // Not what others are writing just now: unlike the tables of faces, this one is changed without a lock.
      await this.eraseDeleted(this.galleries, 'turn', false);
    });
  }

  /**
   * Takes what was deleted from a table out of its files. Deleting only marks rows, and compaction lets them be while they are
   * under a tenth of a file; so all rows are written anew, and the files of all older versions removed.
   *
   * @param column - any: its values are written as they are.
   * @param unfinished - also files of changes that never came to an end; only where nobody else writes.
   */
  async eraseDeleted(table: Table, column: string, unfinished: boolean): Promise<void> {
    await table.update({ where: 'true', valuesSql: { [column]: column } });
    await table.optimize({
      cleanupOlderThan: new Date(Date.now() + CLOCK_SKEW_MS),
      deleteUnverified: unfinished,
    });
  }

  /** Runs what may be run twice; again where it fails, since files of an old version may go while they are read. */
  retried<T>(work: () => Promise<T>): Promise<T> {
    return this.track(attempt(work));
  }

  /** Lets {@link close} wait for it. */
  track<T>(work: Promise<T>): Promise<T> {
    const tracked = work.finally(() => this.running.delete(tracked));
    this.running.add(tracked);
    return tracked;
  }

  /** Lets what runs finish. */
  async close(): Promise<void> {
    while (this.running.size > 0) await Promise.allSettled(this.running);
    for (const table of await Promise.allSettled(this.tables.values())) {
      if (table.status === 'fulfilled') table.value.close();
    }
    this.galleries.close();
    this.connection.close();
  }
}

async function openGalleries(lance: LancePackage, connection: Connection): Promise<Table> {
  const makingRow: GalleryRow = {
    id: MAKING_ID,
    contract: '',
    dimensions: 0,
    threshold: null,
    targetFmr: null,
    targetFpir: null,
    capacity: 0,
    maxReferencesPerSubject: 0,
    enrolmentGate: 'off',
    maxAgeSeconds: null,
    sinceLastMatchSeconds: null,
    matchesSince: null,
    metadata: '{}',
    createdAt: 0,
    updatedAt: 0,
    tableName: GALLERIES_TABLE,
    isDeleted: false,
    lockedBy: '',
    lockedUntil: 0,
    turn: 0,
  };
  return connection
    .createTable(GALLERIES_TABLE, [{ ...makingRow }], { schema: gallerySchema(lance) })
    .catch(async () => {
      const table = await connection.openTable(GALLERIES_TABLE);
      await addMissingColumns(table);
      return table;
    });
}

/** Columns that came after the first version: a table of an older one gets them, without a value in any row. */
const LATER_COLUMNS = [
  'targetFmr',
  'targetFpir',
  'maxAgeSeconds',
  'sinceLastMatchSeconds',
  'matchesSince',
] as const satisfies (keyof GalleryRow)[];

async function addMissingColumns(table: Table): Promise<void> {
  const missing = async () => {
    const { names } = await table.schema();
    return LATER_COLUMNS.filter((name) => !names.includes(name));
  };
  const columns = (await missing()).map((name) => ({ name, valueSql: 'CAST(NULL AS DOUBLE)' }));
  if (columns.length === 0) return;
  await table.addColumns(columns).catch(async (error: unknown) => {
    // Another replica may have been first.
    await table.checkoutLatest();
    if ((await missing()).length > 0) throw error;
  });
}

/** Columns of {@link FaceRow} but the vector, which is most of a row. */
const WITHOUT_VECTOR = [
  'key',
  'subjectId',
  'referenceId',
  'labels',
  'metadata',
  'quality',
  'imageHash',
  'createdAt',
  'updatedAt',
  'position',
] as const satisfies (keyof FaceRow)[];

type FaceRowInArrow = Omit<FaceRow, 'labels' | 'vector'> & {
  labels: Iterable<string>;
  vector: { toArray(): ArrayLike<number> } | null;
};

/** Rows of a gallery in the order in which they were added, with their vectors where these are asked for. */
export async function faceRows(
  faces: Table,
  where: string,
  { vectors }: { vectors: boolean },
): Promise<FaceRow[]> {
  const query = faces.query().where(where);
  if (!vectors) query.select([...WITHOUT_VECTOR]);
  const rows = (await query.toArray()) as { toJSON(): FaceRowInArrow }[];
  return rows
    .map((arrowRow): FaceRow => {
      const row = arrowRow.toJSON();
      // Copies: what arrow gives are views on one buffer for the whole answer.
      const vector = row.vector == null ? null : Float32Array.from(row.vector.toArray());
      return { ...row, labels: [...row.labels], vector };
    })
    .sort((a, b) => a.position - b.position);
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof FaceError) throw error;
      if (count === MAX_ATTEMPTS) throw galleryErrors.storeFailed(error);
      await delay(count * RETRY_PAUSE_MS);
    }
  }
}
