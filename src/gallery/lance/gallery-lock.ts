import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { galleryErrors } from '../gallery-errors';
import type { LanceDatabase } from './lance-database';
import { sqlText } from './lance-rows';

/** A lock that was not renewed for so long is its owner's no more. Clocks of replicas must agree better than that. */
const LOCK_MS = 30_000;
const RENEWAL_MS = 5000;
/** The owner itself stops earlier, so that its last commit is through before another begins. */
const MARGIN_MS = 10_000;
/** Longest wait for other replicas. */
const MAX_WAIT_MS = 60_000;
const PAUSE_MS = 10;

/**
 * The right to change a gallery, among all processes that share the database: a name in the row of the gallery, written only
 * where there is none. LanceDB commits one of two updates of a row and runs the other again, which then finds the name.
 */
export class GalleryLock {
  /**
   * Waits for the others.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND; GALLERY_STORE_FAILED where others have it for a minute.
   */
  static async take(database: LanceDatabase, galleryId: string): Promise<GalleryLock> {
    const where = `id = ${sqlText(galleryId)}`;
    const owner = randomUUID();
    for (
      const start = Date.now();
      Date.now() - start < MAX_WAIT_MS;
      await delay(PAUSE_MS * (1 + Math.random()))
    ) {
      const [row] = await database.galleryRows(where);
      if (row == null) throw galleryErrors.galleryNotFound(galleryId);
      const now = Date.now();
      const isFree = row.lockedBy === '';
      if (!isFree && row.lockedUntil > now) continue;
      const { rowsUpdated } = await database.galleries.update({
        where: `${where} AND lockedBy = ${sqlText(row.lockedBy)} AND lockedUntil = ${row.lockedUntil}`,
        valuesSql: { lockedBy: sqlText(owner), lockedUntil: `${now + LOCK_MS}`, turn: 'turn + 1' },
      });
      if (rowsUpdated > 0)
        return new GalleryLock(database, `${where} AND lockedBy = ${sqlText(owner)}`, now, !isFree);
    }
    throw galleryErrors.storeFailed(new Error('Other processes kept the gallery locked.'));
  }

  private readonly renewal: NodeJS.Timeout;
  private renewing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly database: LanceDatabase,
    private readonly where: string,
    private renewedAt: number,
    /** Its last owner ended, or failed to erase what it had deleted. */
    readonly wasAbandoned: boolean,
  ) {
    this.renewal = setInterval(() => {
      this.renewing = this.renew();
    }, RENEWAL_MS).unref();
  }

  /** @throws where the lock may be another's by now, for example because this process stood still. */
  check(): void {
    if (Date.now() - this.renewedAt > LOCK_MS - MARGIN_MS)
      throw new Error('The lock of the gallery was not renewed in time.');
  }

  /** Gives it to whoever comes next. @param isClean - false: the next one erases first what was deleted. */
  async release(isClean: boolean): Promise<void> {
    clearInterval(this.renewal);
    await this.renewing;
    await this.database.galleries.update({
      where: this.where,
      valuesSql: isClean ? { lockedBy: "''", lockedUntil: '0' } : { lockedUntil: '0' },
    });
  }

  private async renew(): Promise<void> {
    const now = Date.now();
    try {
      const { rowsUpdated } = await this.database.galleries.update({
        where: this.where,
        valuesSql: { lockedUntil: `${now + LOCK_MS}` },
      });
      if (rowsUpdated > 0) this.renewedAt = now;
    } catch {
      // The next renewal tries again; `check` sees to it that nothing is changed without one.
    }
  }
}
