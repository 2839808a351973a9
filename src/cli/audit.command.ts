import type { Command } from 'commander';
import { auditKeys, hashSubject } from '../server/audit/audit-chain';
import { type AuditCheck, verifyAudit } from '../server/audit/verify-audit';
import { FaceError } from '../errors';
import { readConfig } from './face-model';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';

const CHAIN_BROKEN = 1;

interface VerifyOptions extends JsonOption {
  partial?: boolean;
}

export function addAuditCommand(program: Command): void {
  const audit = program.command('audit').description('Verify and search the audit stream of a service.');
  audit
    .command('verify')
    .argument('<files...>', 'files of one stream, oldest first')
    .description(
      'Verify that no line of an audit stream was changed, removed, added or moved. Reads FACE_AUDIT_KEY. If a line fails the check, the first one is reported and the exit code is 1.',
    )
    .option('--partial', 'accept a stream whose oldest files were removed')
    .addOption(jsonOption())
    .action(verify);
  audit
    .command('subject')
    .argument('<gallery>', 'id of the gallery')
    .argument('<subject>', 'id of the subject')
    .description(
      'Print the hash by which the audit stream names a subject, to search for its lines. Reads FACE_AUDIT_KEY.',
    )
    .action(printSubject);
}

async function verify(files: string[], { partial = false, json }: VerifyOptions): Promise<void> {
  const check = await verifyAudit(files, { key: readKeys()?.chain ?? null, isPartial: partial }).catch(
    (cause: NodeJS.ErrnoException) => {
      throw new FaceError('PARAMETER_INVALID', `An audit file cannot be read: ${cause.code}.`, {}, { cause });
    },
  );
  if (json) printJson({ ok: check.broken == null, ...check });
  else printCheck(check);
  if (check.broken != null) process.exitCode = CHAIN_BROKEN;
}

function printCheck({ lineCount, firstSequence, end, endsWithStop, broken }: AuditCheck): void {
  if (broken != null) {
    printLine(`broken: ${broken.file} line ${broken.line}: ${broken.problem}`);
    return;
  }
  if (end == null) {
    printLine('ok: no lines');
    return;
  }
  printLine(`ok: ${lineCount} lines, ${firstSequence} to ${end.sequence}, last hash ${end.hash}`);
  if (!endsWithStop) {
    printLine(
      'The last line does not record a stop: the service is running, it was killed, or lines at the end were removed.',
    );
  }
}

function printSubject(gallery: string, subject: string): void {
  const keys = readKeys();
  if (keys == null) {
    throw new FaceError('PARAMETER_INVALID', 'FACE_AUDIT_KEY is not set: subjects are hashed with it.');
  }
  printLine(hashSubject(gallery, subject, keys.subjects));
}

function readKeys(): ReturnType<typeof auditKeys> | null {
  const { key } = readConfig().audit;
  return key == null ? null : auditKeys(key);
}
