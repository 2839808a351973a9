import { isIPv6 } from 'node:net';

/** Addresses that stand for every address of the machine: no browser can open them. */
const ANY_ADDRESS = ['0.0.0.0', '::', ''];

/**
 * URLs that a browser on this machine can open.
 *
 * @param host - address that the service listens on.
 */
function serviceUrls(host: string, port: number): Record<'console' | 'docs' | 'health', string> {
  const name = ANY_ADDRESS.includes(host) ? 'localhost' : host;
  const origin = `http://${isIPv6(name) ? `[${name}]` : name}:${port}`;
  return { console: `${origin}/`, docs: `${origin}/docs`, health: `${origin}/health/ready` };
}

/** The URLs as lines of a terminal. */
export function urlLines(host: string, port: number): string {
  const lines = Object.entries(serviceUrls(host, port)).map(([name, url]) => `  ${name.padEnd(8)} ${url}\n`);
  return `\n${lines.join('')}`;
}
