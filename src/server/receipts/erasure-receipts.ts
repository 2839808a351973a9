import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { subjectNamer } from '../audit/audit-chain';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../../errors';
import type { DeletionCounts } from '../../gallery/gallery.types';
import { type ErasureReceipt, signReceipt } from './erasure-receipt';
import { openReceiptKey, type ReceiptKey } from './receipt-key';

/** The deleted entry: without a subject, a whole gallery. */
export interface Deleted extends DeletionCounts {
  galleryId: string;
  subjectId?: string;
  referenceId?: string;
}

/** Signs receipts for erasures, if FACE_RECEIPT_KEY_FILE is set. */
@Injectable()
export class ErasureReceipts implements OnApplicationBootstrap {
  private readonly key: ReceiptKey | null;
  private readonly nameOf: ReturnType<typeof subjectNamer>;
  private readonly format: 'hashed' | 'plain';

  /** @throws {FaceError} RECEIPT_KEY_INVALID */
  constructor({ receiptKeyFile, audit }: AppConfig) {
    this.key = receiptKeyFile == null ? null : openReceiptKey(receiptKeyFile);
    this.nameOf = subjectNamer(audit);
    this.format = audit.subjects;
  }

  onApplicationBootstrap(): void {
    if (this.key != null) new Logger('Receipts').log(`erasures are signed with the key ${this.key.id}`);
  }

  /**
   * Deletes, and returns a receipt if requested. If a requested receipt cannot be signed, nothing is deleted.
   *
   * @throws {FaceError} RECEIPTS_DISABLED, and the errors of `remove`.
   */
  async erase(
    isWanted: boolean | undefined,
    names: Omit<Deleted, keyof DeletionCounts>,
    remove: () => Promise<DeletionCounts>,
    requestId: string,
  ): Promise<ErasureReceipt | undefined> {
    if (!isWanted) {
      await remove();
      return undefined;
    }
    const { key } = this;
    if (key == null) {
      throw new FaceError(
        'RECEIPTS_DISABLED',
        'Receipts are disabled: FACE_RECEIPT_KEY_FILE is not set. Nothing was deleted.',
      );
    }
    return this.sign({ ...names, ...(await remove()) }, requestId, key);
  }

  private sign(
    { galleryId, subjectId, referenceId, ...counts }: Deleted,
    requestId: string,
    key: ReceiptKey,
  ): ErasureReceipt {
    const erasure = {
      erased: referenceId != null ? 'reference' : subjectId != null ? 'subject' : 'gallery',
      galleryId,
      subject: subjectId == null ? null : this.nameOf(galleryId, subjectId),
      subjectFormat: subjectId == null ? null : this.format,
      referenceId: referenceId ?? null,
      ...counts,
      erasedAt: new Date().toISOString(),
      requestId,
    } as const;
    return signReceipt(erasure, key);
  }
}
