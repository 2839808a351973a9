import type { Command } from 'commander';
import { examples, integer } from './options';

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .summary('Start the HTTP service')
    .description(
      'Start the HTTP service. It ends with exit code 0 on SIGTERM or Ctrl+C, 1 if it cannot start.',
    )
    .option(
      '--port <port>',
      'port to listen on, 0 picks a free one (default: PORT, or 3000)',
      integer(0, 65_535),
    )
    .option(
      '--host <address>',
      'address to listen on; any other than a loopback address needs API keys (default: HOST, or 127.0.0.1)',
    )
    .addHelpText(
      'after',
      examples('likeness serve --port 8080', 'FACE_API_KEYS_FILE=keys.json likeness serve --host 0.0.0.0'),
    )
    .action(serve);
}

async function serve({ port, host }: { port?: number; host?: string }): Promise<void> {
  if (port != null) process.env.PORT = String(port);
  if (host != null) process.env.HOST = host;
  // main.ts starts the service on import, and ends the process if that fails.
  await import('../main.js');
}
