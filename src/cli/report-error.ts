import { CommanderError } from 'commander';
import { describeCauses } from '../describe-causes';
import { FaceError } from '../errors';
import { printJson } from './print';

/** Exit code of every failure; 1 is reserved for a negative result, such as that of `verify`. */
export const EXIT_ERROR = 2;

/** Reports the error that ended a command and sets the exit code. Never throws. */
export function reportError(thrown: unknown): void {
  if (thrown instanceof CommanderError && thrown.exitCode === 0) return; // --help and --version
  process.exitCode = EXIT_ERROR;
  // If the command is missing, commander has already written the help.
  if (thrown instanceof CommanderError && thrown.code === 'commander.help') return;
  const error = toFaceError(thrown);
  // The options may have failed to parse, so look at the arguments.
  if (process.argv.includes('--json')) printJson({ error: errorJson(error) });
  else process.stderr.write(`${errorLine(error)}\n`);
  if (error.code === 'INTERNAL_ERROR' && !isSystemError(thrown)) process.stderr.write(`${stackOf(thrown)}\n`);
}

/** The error body of the service. */
export function errorJson({ code, message, details }: FaceError) {
  return { code, message, details };
}

/** One line: code, message, file, and for failures of ours the causes. */
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

/** System errors, such as a folder without write access, need no stack trace. */
function isSystemError(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown;
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error && thrown.stack != null ? thrown.stack : String(thrown);
}
