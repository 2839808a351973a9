import { prettyFactory } from 'pino-pretty';
import { PinoLogger } from './pino-logger';
import { TerminalLog } from './terminal-log';

const ERASE = '\x1b[K';

describe(TerminalLog.name, () => {
  let written: string[];
  beforeEach(() => (written = []));

  function createLogger({ isBrief = true, columns = 80 } = {}): PinoLogger {
    const terminal = { columns, write: (text: string) => written.push(text) > 0 };
    const pretty = prettyFactory({ colorize: false, singleLine: true, ignore: 'time,context' });
    return new PinoLogger('log', new TerminalLog(terminal, pretty, isBrief));
  }

  it('leaves out what Nest logs about its modules and routes, but not its errors', () => {
    const logger = createLogger();
    for (const context of ['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer']) {
      logger.log('Mapped {/health, GET} route', context);
    }
    expect(written).toEqual([]);
    logger.error('failed', 'RouterExplorer');
    logger.log('loaded', 'Models');
    expect(written).toEqual([`${ERASE}ERROR: failed\n`, `${ERASE}INFO: loaded\n`]);
  });

  it('shows progress on one line, which the next message replaces', () => {
    const logger = createLogger();
    logger.log('load rfb-320 (1 of 4)', 'Models');
    logger.log('load age-gender (2 of 4)', 'Models');
    logger.log('read 2000 of 90000 records', 'Galleries');
    logger.warn('skipped 3 of 90000 records', 'Galleries');
    expect(written).toEqual([
      `${ERASE}load rfb-320 (1 of 4)\r`,
      `${ERASE}load age-gender (2 of 4)\r`,
      `${ERASE}read 2000 of 90000 records\r`,
      `${ERASE}WARN: skipped 3 of 90000 records\n`,
    ]);
  });

  it('shortens progress that would wrap', () => {
    createLogger({ columns: 10 }).log('load rfb-320 (1 of 4)', 'Models');
    expect(written).toEqual([`${ERASE}load rfb-\r`]);
  });

  it('shows every message where more is asked for', () => {
    const logger = createLogger({ isBrief: false });
    logger.log('Mapped {/health, GET} route', 'RouterExplorer');
    logger.log('load rfb-320 (1 of 4)', 'Models');
    expect(written).toEqual([
      `${ERASE}INFO: Mapped {/health, GET} route\n`,
      `${ERASE}INFO: load rfb-320 (1 of 4)\n`,
    ]);
  });
});
