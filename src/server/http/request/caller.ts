import ipaddr from 'ipaddr.js';
import type { AppRequest } from './request-id';

/** `ip:port` and `[ip]:port`, as some proxies write an address into X-Forwarded-For. */
const WITH_PORT = /^(?:\[([^\]]+)\]|([\d.]+)):\d+$/;

/** Smallest prefix of a customer (RFC 6177), whose addresses count as one caller. */
const IPV6_PREFIX = 64;

/**
 * Identifies the caller of a request for shared limits: `key:<name>`, or the address. An IPv6 address counts as its /64
 * (`2001:db8:0:1::/64`), an IPv4-mapped one as its IPv4 address.
 *
 * The address is that of the connection, or the one from the proxies of FACE_TRUST_PROXY; if a proxy sends an invalid
 * address, its own counts.
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
