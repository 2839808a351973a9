import ipaddr from 'ipaddr.js';
import type { AppRequest } from './request-id';

/** `ip:port` and `[ip]:port`, as some proxies write an address into X-Forwarded-For. */
const WITH_PORT = /^(?:\[([^\]]+)\]|([\d.]+)):\d+$/;

/** Prefix that a provider gives to one customer at least (RFC 6177): its addresses are one caller. */
const IPV6_PREFIX = 64;

/**
 * Whom a request counts for where callers share something: `key:<name>`, or the address that it comes from. An IPv6 address
 * stands for its /64 (`2001:db8:0:1::/64`), an IPv4-mapped one for the IPv4 address in it.
 *
 * The address is that of the connection, or what the proxies of FACE_TRUST_PROXY say; where a proxy says something that is no
 * address, it is the proxy's own.
 */
export function callerOf({ apiKey, ip, socket }: AppRequest): string {
  if (apiKey != null) return `key:${apiKey.name}`;
  return networkOf(ip) ?? networkOf(socket.remoteAddress) ?? '';
}

function networkOf(text = ''): string | null {
  const [, bracketed, plain] = WITH_PORT.exec(text) ?? [];
  const address = bracketed ?? plain ?? text;
  if (!ipaddr.isValid(address)) return null;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toNormalizedString()}/${IPV6_PREFIX}`).toString()}/${IPV6_PREFIX}`;
}
