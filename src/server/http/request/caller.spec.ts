import { callerOf } from './caller';
import type { AppRequest } from './request-id';

function caller(ip: string | undefined, rest: object = {}): string {
  return callerOf({ ip, socket: { remoteAddress: '10.0.0.9' }, ...rest } as AppRequest);
}

describe(callerOf.name, () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['203.0.113.7:51234', '203.0.113.7'],
    ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
    ['2001:db8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:1::/64'],
    ['2001:0DB8:0000:0001::', '2001:db8:0:1::/64'],
    ['[2001:db8:0:1::1]:443', '2001:db8:0:1::/64'],
    ['2001:db8:0:2::1', '2001:db8:0:2::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::/64'],
  ])('counts %s as %s', (ip, expected) => expect(caller(ip)).toBe(expected));

  it.each([['unknown'], ['_hidden'], [''], [undefined], ['key:staff'], ['1.2.3.4.5']])(
    'counts %j, which is no address, as the address of the connection',
    (ip) => expect(caller(ip)).toBe('10.0.0.9'),
  );

  it('counts by the key where there is one, from wherever it comes', () => {
    expect(caller('203.0.113.7', { apiKey: { name: 'staff' } })).toBe('key:staff');
  });

  it('has a name for a connection that is gone', () => {
    expect(caller(undefined, { socket: {} })).toBe('');
  });
});
