import ipaddr from 'ipaddr.js';

/** The only IPv6 block that IANA has assigned as global unicast (RFC 4291, section 2.4; RFC 3587). */
const GLOBAL_IPV6 = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Blocks without public hosts, from the IANA special-purpose address registries (RFC 6890), which name the RFC of each.
 * IPv6 blocks outside 2000::/3 need no entry: `::/96`, NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`), `100::/64`, unique
 * local, link-local, site-local, multicast.
 */
const SPECIAL_BLOCKS = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // shared by carriers; metadata of Alibaba Cloud
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // Azure: platform services of every virtual machine, at an address in a public block
  '169.254.0.0/16', // link-local; metadata of most clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments; metadata of Oracle Cloud
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // multicast tunnels
  '192.88.99.0/24', // relays of 6to4
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '2001::/23', // protocol assignments: Teredo, benchmarks, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4: carries any IPv4 address
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
].map((block) => ipaddr.parseCIDR(block));

/**
 * Whether an IP address is on the public internet: global unicast and in no special block. An IPv4-mapped address
 * counts as its IPv4 address. Anything else is not public.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv6' && !parsed.match(GLOBAL_IPV6)) return false;
  return !SPECIAL_BLOCKS.some((block) => block[0].kind() === parsed.kind() && parsed.match(block));
}
