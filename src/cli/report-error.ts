import { CommanderError } from 'commander';
import { describeCauses } from '../describe-causes';
import { FaceError } from '../errors';
import { printJson } from './print';

/** Exit code of every failure; 1 is kept for commands that did their work and say no, such as `verify`. */
export const EXIT_ERROR = 2;

/** Reports what ended a command and sets the exit code. Never throws. */
export function reportError(thrown: unknown): void {
  if (thrown instanceof CommanderError && thrown.exitCode === 0) return; // --help and --version
  process.exitCode = EXIT_ERROR;
  // Commander has just written the help where a command is missing; there is nothing to add.
  if (thrown instanceof CommanderError && thrown.code === 'commander.help') return;
  const error = toFaceError(thrown);
  // The options may be what is wrong, so they are not there to ask.
  if (process.argv.includes('--json')) printJson({ error: errorJson(error) });
  else process.stderr.write(`${errorLine(error)}\n`);
  if (error.code === 'INTERNAL_ERROR' && !isSystemError(thrown)) process.stderr.write(`${stackOf(thrown)}\n`);
}

/** As in the answers of the service. */
export function errorJson({ code, message, details }: FaceError) {
  return { code, message, details };
}

/** One line: code, message, the file it is about, and the causes where the failure is our own and not the caller's. */
export function errorLine(error: FaceError): string {
  const { code, message, details } = error;
  const file =
    typeof details.file === 'string' && !message.includes(details.file) ? ` (${details.file})` : '';
  const causes = error.status >= 500 ? describeCauses(error) : '';
  return `${code}: ${message}${file}${causes}`.replace(/[\r\n]+/g, ' ');
}

function toFaceError(thrown: unknown): FaceError {
  if (thrown instanceof FaceError) return thrown;
  if (thrown instanceof CommanderError) {
    return new FaceError('PARAMETER_INVALID', oneSentence(thrown.message.replace(/^error: /, '')));
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new FaceError('INTERNAL_ERROR', message, {}, { cause: thrown });
}

function oneSentence(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.charAt(0).toUpperCase() + line.slice(1);
}

/** What the operating system refuses says all in its message: a folder that cannot be written, for example. */
function isSystemError(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown;
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error && thrown.stack != null ? thrown.stack : String(thrown);
}
