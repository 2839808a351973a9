import { type Command, Option } from 'commander';
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FaceError } from '../errors';
import { type ErasureReceipt, receiptProblem } from '../server/receipts/erasure-receipt';
import { receiptKeyId } from '../server/receipts/receipt-key';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';

const DOES_NOT_HOLD = 1;

interface KeyOptions extends JsonOption {
  key?: string;
}

export function addReceiptCommand(program: Command): void {
  const receipt = program.command('receipt').description('Verify erasure receipts.');
  receipt
    .command('verify')
    .argument('<file>', 'receipt file, as returned by the service')
    .description(
      'Verify that a receipt was signed by a service and not changed. Only the public key of the service is needed. The exit code is 1 if the receipt is invalid.',
    )
    .addOption(keyOption())
    .addOption(jsonOption())
    .action(verifyReceipt);
  receipt
    .command('public-key')
    .description('Print the public key of a service in PEM, for the verification of receipts.')
    .addOption(keyOption())
    .addOption(jsonOption())
    .action(printPublicKey);
}

function keyOption(): Option {
  return new Option('--key <file>', 'key of the service in PEM, public or private').env(
    'FACE_RECEIPT_KEY_FILE',
  );
}

function verifyReceipt(file: string, { key, json }: KeyOptions): void {
  const publicKey = readPublicKey(key);
  const receipt = readReceipt(file);
  const problem = receiptProblem(receipt, publicKey);
  if (json) printJson({ ok: problem == null, problem, receipt });
  else printLine(problem == null ? `ok: ${summaryOf(receipt as ErasureReceipt)}` : `invalid: ${problem}`);
  if (problem != null) process.exitCode = DOES_NOT_HOLD;
}

function summaryOf(receipt: ErasureReceipt): string {
  const { erased, galleryId, subject, referenceId, subjectCount, referenceCount } = receipt;
  const what = {
    gallery: `gallery ${galleryId}`,
    subject: `subject ${subject} of gallery ${galleryId}`,
    reference: `reference ${referenceId} of subject ${subject} of gallery ${galleryId}`,
  }[erased];
  const counts = `${subjectCount} subjects, ${referenceCount} references`;
  return `${what} (${counts}) erased at ${receipt.erasedAt}, request ${receipt.requestId}`;
}

function printPublicKey({ key, json }: KeyOptions): void {
  const publicKey = readPublicKey(key);
  const pem = publicKey.export({ format: 'pem', type: 'spki' }) as string;
  const keyId = receiptKeyId(publicKey);
  if (json) return printJson({ keyId, pem });
  process.stdout.write(pem);
  // On stderr, so that the key alone can be redirected to a file.
  process.stderr.write(`key id: ${keyId}\n`);
}

/** Reads the public key from a file with the public or the private key. */
function readPublicKey(path: string | undefined): KeyObject {
  if (path == null) throw new FaceError('PARAMETER_INVALID', '--key or FACE_RECEIPT_KEY_FILE is required.');
  const pem = readText(path, 'The key file');
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Reported by the error below.
  }
  throw new FaceError('PARAMETER_INVALID', 'The key file does not contain an Ed25519 key in PEM.');
}

function readReceipt(path: string): unknown {
  const text = readText(path, 'The receipt');
  try {
    return JSON.parse(text);
  } catch {
    throw new FaceError('PARAMETER_INVALID', 'The receipt is not valid JSON.');
  }
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new FaceError('PARAMETER_INVALID', `${what} cannot be read: ${code}.`, {}, { cause });
  }
}
