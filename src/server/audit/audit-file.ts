import { tryLock } from 'fs-native-extensions';
import { type FileHandle, open, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaceError } from '../../errors';
import {
  type AuditAction,
  type AuditEntry,
  CHAIN_START,
  type ChainEnd,
  chainLine,
  readLine,
} from './audit-chain';

/** Maximum number of lines that wait for a slow or full disk; further ones are rejected or dropped. */
const MAX_WAITING = 10_000;
const RETRY_MS = 1000;
/** Longer than any line. */
const MAX_LINE_BYTES = 16 * 1024;
/** Digits of the sequence number in file names, so that files sort by age. */
const SEQUENCE_DIGITS = 12;
const NEWLINE = 10;

export interface AuditFileOptions {
  path: string;
  /** Key of the chain; `null`: anyone with write access to the file can rewrite the whole chain. */
  key: Buffer | null;
  /** Size at which a file is rotated: the number of its last line becomes its suffix, and a new file begins. */
  maxBytes: number;
  onNotice?: (level: 'log' | 'warn' | 'error', message: string) => void;
  /** Called after lines were written or dropped, or the state has changed. */
  onChange?: (change: AuditChange) => void;
}

export interface AuditChange {
  written: number;
  dropped: number;
  isFailing: boolean;
}

interface WaitingLine extends ChainEnd {
  line: string;
}

/**
 * The audit stream: JSON lines in a file that only grows, each with the hash of the line before. Lines are written in the
 * order of {@link append}, in batches beside the requests, and forced to the disk after each batch.
 */
export class AuditFile {
  private readonly waiting: WaitingLine[] = [];
  /** The lines being written, and their bytes not written yet. */
  private batch: { bytes: Buffer; lineCount: number } | null = null;
  private writing: Promise<void> | null = null;
  private dropped = 0;
  private failed = false;
  private isClosing = false;

  private constructor(
    private readonly options: AuditFileOptions,
    private handle: FileHandle,
    private size: number,
    private end: ChainEnd,
    private writtenEnd: ChainEnd = end,
  ) {}

  /**
   * Continues the chain of the file, or of the last rotated one. Removes a last line that a crash left incomplete.
   *
   * @throws {FaceError} AUDIT_FILE_INVALID if the file cannot be opened, is in use by another process, or its last line
   * is invalid.
   */
  static async open(options: AuditFileOptions): Promise<AuditFile> {
    const { path, key } = options;
    const handle = await open(path, 'a+', 0o600).catch((cause: NodeJS.ErrnoException) => {
      throw invalid(`cannot be opened for reading and writing (${cause.code})`, cause);
    });
    try {
      if (!tryLock(handle.fd)) throw invalid('is in use by another process');
      const { size, last, isTorn } = await readTail(handle);
      const lastFull = last == null ? await lastLineOfFullFiles(path) : last;
      const end = lastFull == null ? CHAIN_START : endOf(lastFull, key);
      const file = new AuditFile(options, handle, size, end);
      const from = end.sequence + 1;
      options.onNotice?.('log', `the audit stream continues with line ${from}, after hash ${end.hash}`);
      if (isTorn) options.onNotice?.('warn', 'removed an incomplete last line of the audit stream');
      file.append(ownEntry('start', isTorn ? 'recovered' : 'ok'));
      return file;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Whether lines cannot be written, or too many wait. */
  get isFailing(): boolean {
    return this.failed || this.waiting.length >= MAX_WAITING;
  }

  /** Appends a line, or drops and counts it if too many wait. */
  append(entry: AuditEntry): void {
    if (this.isClosing) {
      // Work for a client that disconnected can end after `stop`, which must remain the last line.
      this.options.onNotice?.(
        'error',
        `the audit stream is closed: a line of action ${entry.action} is lost`,
      );
      return;
    }
    if (this.waiting.length >= MAX_WAITING) {
      this.dropped++;
      this.options.onChange?.({ written: 0, dropped: 1, isFailing: true });
      return;
    }
    this.chain(entry);
    // Deferred, so that all lines of one request form one batch.
    this.writing ??= new Promise<void>(setImmediate).then(() => this.writeAll());
  }

  /** Appends the `stop` line, and waits until everything is written or cannot be. */
  async close(): Promise<void> {
    if (this.isClosing) return;
    this.append(ownEntry('stop', 'ok'));
    this.isClosing = true;
    await this.writing;
    if (this.waiting.length > 0) {
      this.options.onNotice?.(
        'error',
        `${this.waiting.length} lines of the audit stream are lost: they could not be written`,
      );
    } else {
      const { sequence, hash } = this.writtenEnd;
      this.options.onNotice?.('log', `the audit stream ends with line ${sequence}, hash ${hash}`);
    }
    await this.handle.close();
  }

  private chain(entry: AuditEntry): void {
    const next = chainLine(this.end, entry, this.options.key);
    this.end = next;
    this.waiting.push(next);
  }

  private async writeAll(): Promise<void> {
    while (this.waiting.length > 0) {
      try {
        await this.writeBatch();
      } catch (error) {
        if (!this.failed) {
          this.options.onNotice?.('error', `the audit stream cannot be written: ${(error as Error).message}`);
        }
        this.setFailed(true);
        if (this.isClosing) break;
        await sleep(RETRY_MS);
      }
    }
    this.writing = null;
  }

  private async writeBatch(): Promise<void> {
    if (this.batch == null) {
      if (this.size >= this.options.maxBytes) await this.startNextFile();
      const bytes = Buffer.from(this.waiting.map(({ line }) => `${line}\n`).join(''));
      this.batch = { bytes, lineCount: this.waiting.length };
    }
    // A failed write can leave a part in the file: write only the rest again.
    while (this.batch.bytes.length > 0) {
      const { bytesWritten } = await this.handle.write(this.batch.bytes);
      this.batch.bytes = this.batch.bytes.subarray(bytesWritten);
      this.size += bytesWritten;
    }
    await this.handle.datasync();
    const written = this.waiting.splice(0, this.batch.lineCount);
    this.batch = null;
    this.writtenEnd = written[written.length - 1];
    this.setFailed(false, written.length);
    if (this.dropped > 0) {
      const count = this.dropped;
      this.dropped = 0;
      this.chain({ ...ownEntry('gap', 'dropped'), count });
    }
  }

  private setFailed(failed: boolean, written = 0): void {
    const wasFailed = this.failed;
    this.failed = failed;
    if (wasFailed && !failed) this.options.onNotice?.('log', 'the audit stream can be written again');
    if (written > 0 || wasFailed !== failed) {
      this.options.onChange?.({ written, dropped: 0, isFailing: this.isFailing });
    }
  }

  private async startNextFile(): Promise<void> {
    const { path } = this.options;
    const full = `${path}.${String(this.writtenEnd.sequence).padStart(SEQUENCE_DIGITS, '0')}`;
    await rename(path, full).catch((error: NodeJS.ErrnoException) => {
      // An earlier attempt renamed it, then failed to open the next one.
      if (error.code !== 'ENOENT') throw error;
    });
    const handle = await open(path, 'a+', 0o600);
    tryLock(handle.fd);
    await this.handle.close();
    this.handle = handle;
    this.size = 0;
  }
}

function ownEntry(action: AuditAction, outcome: string): AuditEntry {
  return {
    time: new Date().toISOString(),
    action,
    key: null,
    address: null,
    gallery: null,
    subject: null,
    outcome,
    requestId: null,
  };
}

/** The last complete line of a file, or `null`. Truncates the file after it. */
async function readTail(handle: FileHandle): Promise<{ size: number; last: string | null; isTorn: boolean }> {
  const { size } = await handle.stat();
  const length = Math.min(size, 2 * MAX_LINE_BYTES);
  const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
  const tornBytes = length - 1 - buffer.lastIndexOf(NEWLINE);
  if (tornBytes > MAX_LINE_BYTES) throw invalid('is not an audit stream');
  const whole = buffer.subarray(0, length - tornBytes);
  if (tornBytes > 0) await handle.truncate(size - tornBytes);
  if (whole.length === 0) return { size: size - tornBytes, last: null, isTorn: tornBytes > 0 };
  const last = whole.subarray(whole.lastIndexOf(NEWLINE, whole.length - 2) + 1, whole.length - 1).toString();
  return { size: size - tornBytes, last, isTorn: tornBytes > 0 };
}

/** For a process that ended between two files. */
async function lastLineOfFullFiles(path: string): Promise<string | null> {
  const prefix = `${basename(path)}.`;
  const isFull = (name: string) =>
    name.startsWith(prefix) &&
    /^\d+$/.test(name.slice(prefix.length)) &&
    name.length === prefix.length + SEQUENCE_DIGITS;
  const name = (await readdir(dirname(path))).filter(isFull).sort().at(-1);
  if (name == null) return null;
  const handle = await open(join(dirname(path), name), 'r+');
  try {
    return (await readTail(handle)).last;
  } finally {
    await handle.close();
  }
}

function endOf(line: string, key: Buffer | null): ChainEnd {
  try {
    const { sequence, hash } = readLine(line, key);
    return { sequence, hash };
  } catch (error) {
    throw invalid(`has an invalid last line: ${(error as Error).message}`);
  }
}

function invalid(problem: string, cause?: unknown): FaceError {
  return new FaceError('AUDIT_FILE_INVALID', `FACE_AUDIT_FILE ${problem}.`, {}, { cause });
}
