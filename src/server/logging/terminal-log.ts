import type { DestinationStream } from 'pino';

/** Contexts in which Nest lists its modules and routes at a start. */
const NEST_CONTEXTS = [
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestApplication',
];
/** Messages of work in progress, such as "load rfb-320 (1 of 4)" and "read 2000 of 90000 records". */
const PROGRESS = /\(\d+ of \d+\)$|\b\d+ of \d+ records$/;
/** Control sequence of terminals that erases from the cursor to the end of the line. */
export const ERASE_LINE = '\x1b[K';

/** Terminal, as far as it is used here. */
export type Terminal = Pick<NodeJS.WriteStream, 'write'> & { columns?: number };

/** Shows log lines on a terminal in readable form. */
export class TerminalLog implements DestinationStream {
  /**
   * @param pretty - makes a line of JSON readable, its newline included.
   * @param isBrief - leaves out the modules and routes of Nest, and shows each message of progress in place of the one
   * before.
   */
  constructor(
    private readonly terminal: Terminal,
    private readonly pretty: (line: string) => string,
    private readonly isBrief: boolean,
  ) {}

  write(line: string): void {
    const { level, context = '', msg = '' } = JSON.parse(line) as Record<string, string | undefined>;
    const canBeBrief = this.isBrief && level === 'info';
    if (canBeBrief && NEST_CONTEXTS.includes(context)) return;
    if (canBeBrief && PROGRESS.test(msg)) {
      // The cursor stays at the start of the line, so that whatever comes next replaces it. A wrapped line would remain.
      this.terminal.write(`${ERASE_LINE}${msg.slice(0, (this.terminal.columns || Infinity) - 1)}\r`);
    } else this.terminal.write(`${ERASE_LINE}${this.pretty(line)}`);
  }
}
