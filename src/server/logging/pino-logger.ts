import type { LoggerService } from '@nestjs/common';
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { AppLogLevel } from '../config/config-variables';
import { FaceError } from '../../errors';
import type { RequestLine } from '../http/request/request-log';
import { TerminalLog } from './terminal-log';

/** Levels of pino by levels of Nest. */
const LEVELS = {
  verbose: 'trace',
  debug: 'debug',
  log: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'fatal',
} as const satisfies Record<AppLogLevel, string>;

/**
 * Allowed fields of a logged object. All others are dropped, so that a line cannot contain an image, embedding, key,
 * file name or subject id.
 */
const FIELDS = [
  'requestId',
  'key',
  'method',
  'route',
  'status',
  'code',
  'durationMs',
  'timings',
  'count',
] as const satisfies readonly (keyof RequestLine)[];

/** Logger of Nest based on pino: JSON lines, or on a terminal a few readable ones ({@link TerminalLog}). */
export class PinoLogger implements LoggerService {
  private readonly pino: Logger;

  /** @param level - minimum level. */
  constructor(level: AppLogLevel, destination: DestinationStream = defaultDestination(level)) {
    this.pino = pino(
      {
        level: LEVELS[level],
        base: null,
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      destination,
    );
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('verbose', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  log(message: unknown, ...rest: unknown[]): void {
    this.write('log', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    // main.ts prints the error of a failed startup in one line; Nest would add its stack trace.
    if (message instanceof FaceError) return;
    this.write('error', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** @param rest - arguments of Nest: the context last, preceded by the stack of an error. */
  private write(level: AppLogLevel, message: unknown, rest: unknown[]): void {
    const texts = rest.filter((part) => typeof part === 'string');
    const context = texts.pop();
    const stack = message instanceof Error ? message.stack : texts.pop();
    const line = this.pino[LEVELS[level]].bind(this.pino);
    if (message instanceof Error) line({ context, stack }, message.message);
    else if (typeof message === 'object' && message != null)
      line({ context, ...fieldsOf(message) }, 'request');
    else line({ context, stack }, String(message));
  }
}

function fieldsOf(message: object): Partial<RequestLine> {
  const given = message as Partial<RequestLine>;
  return Object.fromEntries(FIELDS.filter((name) => given[name] != null).map((name) => [name, given[name]]));
}

/** Whether the log goes to a terminal: it is read there by a person, and everywhere else by a program. */
export function isTerminal(): boolean {
  return process.stdout.isTTY;
}

function defaultDestination(level: AppLogLevel): DestinationStream {
  if (!isTerminal()) return process.stdout;
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded only for a terminal.
  const { prettyFactory } = require('pino-pretty') as typeof import('pino-pretty');
  const options = {
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    messageFormat: '{if context}{context}: {end}{msg}',
    ignore: 'context',
  };
  const isBrief = level !== 'verbose' && level !== 'debug';
  return new TerminalLog(process.stdout, prettyFactory(options), isBrief);
}
