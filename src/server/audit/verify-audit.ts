import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { CHAIN_START, type ChainEnd, readLine } from './audit-chain';

/** Result of a check of audit files. */
export interface AuditCheck {
  lineCount: number;
  /** Number of the first line; `null` without lines. */
  firstSequence: number | null;
  /** End of the chain. If kept elsewhere, it also reveals lines removed at the end. */
  end: ChainEnd | null;
  /** Whether the last line records a stop; if not, the service is running, was killed, or lines are missing. */
  endsWithStop: boolean;
  /** The first invalid line; `null`: all are valid. */
  broken: { file: string; line: number; problem: string } | null;
}

export interface VerifyAuditOptions {
  key: Buffer | null;
  /** Accepts a chain that does not begin at its first line, because older files were removed. @defaultValue false */
  isPartial?: boolean;
}

/** Checks the lines of consecutive files, oldest first. Stops at the first invalid line. */
export async function verifyAudit(
  files: readonly string[],
  { key, isPartial = false }: VerifyAuditOptions,
): Promise<AuditCheck> {
  const check: AuditCheck = {
    lineCount: 0,
    firstSequence: null,
    end: null,
    endsWithStop: false,
    broken: null,
  };
  let expected: ChainEnd | null = isPartial ? null : CHAIN_START;
  for (const file of files) {
    let lineNumber = 0;
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      lineNumber++;
      try {
        const { previous, sequence, hash, action } = readLine(line, key);
        if (expected != null && (previous !== expected.hash || sequence !== expected.sequence + 1)) {
          throw new Error(`expected line ${expected.sequence + 1} of the stream but found line ${sequence}`);
        }
        expected = { sequence, hash };
        check.firstSequence ??= sequence;
        check.endsWithStop = action === 'stop';
      } catch (error) {
        check.broken = { file, line: lineNumber, problem: (error as Error).message };
        check.end = check.lineCount === 0 ? null : expected;
        return check;
      }
      check.lineCount++;
    }
  }
  check.end = check.lineCount === 0 ? null : expected;
  return check;
}
