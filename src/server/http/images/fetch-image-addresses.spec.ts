import dns from 'node:dns';
import { EventEmitter } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { FaceError } from '../../../errors';
import { fetchImage } from './fetch-image';
import { type ImageUrl, parseImage } from './parse-image';
import { isPublicAddress } from './public-address';

/** What must happen: the error code, or the addresses that a connection is opened to. */
type Outcome = 'IMAGE_URL_REFUSED' | 'PARAMETER_INVALID' | string[];

const REFUSED = 'IMAGE_URL_REFUSED';
const INVALID = 'PARAMETER_INVALID';
/** Of example.com, once; no test opens a connection. */
const PUBLIC = '93.184.216.34';

/** What the resolver of these tests answers. */
const NAMES: Record<string, string[]> = {
  'photos.example': [PUBLIC],
  'photos.example.': [PUBLIC],
  'six.example': ['2606:2800:220:1:248:1893:25c8:1946'],
  'both.example': [PUBLIC, '2606:2800:220:1:248:1893:25c8:1946'],
  'xn--bcher-kva.example': [PUBLIC],
  localhost: ['127.0.0.1'],
  'localhost.': ['127.0.0.1'],
  'rebound.example': [PUBLIC, '10.0.0.5'],
  'metadata.example': ['169.254.169.254'],
  'azure.example': ['168.63.129.16'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'nat64.example': ['64:ff9b::a9fe:a9fe'],
  'zone.example': ['fe80::1%eth0'],
};

/** Forms of addresses, under the rule `*`. */
const FORMS: [url: string, outcome: Outcome][] = [
  // Public hosts in every form
  ['http://93.184.216.34/', [PUBLIC]],
  ['https://93.184.216.34:443/', [PUBLIC]],
  ['http://93.184.216.34:80/', [PUBLIC]],
  ['https://93.184.216.34:80/', [PUBLIC]],
  ['http://1572395042/', [PUBLIC]],
  ['http://0x5db8d822/', [PUBLIC]],
  ['http://0135.0270.0330.042/', [PUBLIC]],
  ['http://93.12113954/', [PUBLIC]],
  ['http://93.184.216.34./', [PUBLIC]],
  ['http://[::ffff:93.184.216.34]/', ['[::ffff:5db8:d822]']],
  ['http://[2606:2800:220:1:248:1893:25c8:1946]/', ['[2606:2800:220:1:248:1893:25c8:1946]']],
  ['http://photos.example/', [PUBLIC]],
  ['  HTTP://PHOTOS.EXAMPLE/  ', [PUBLIC]],
  ['http://photos.example./', [PUBLIC]],
  ['http://@photos.example/', [PUBLIC]],
  ['http:photos.example', [PUBLIC]],
  ['http:\\\\photos.example\\a.jpg', [PUBLIC]],
  ['http://six.example/', NAMES['six.example']],
  ['http://both.example/', NAMES['both.example']],
  ['http://bücher.example/', [PUBLIC]],
  ['http://photos。example/', [PUBLIC]],
  ['http://ｐｈｏｔｏｓ.example/', [PUBLIC]],
  // Loopback, in all notations of inet_aton and beyond
  ['http://127.0.0.1/', REFUSED],
  ['http://127.255.255.254/', REFUSED],
  ['http://2130706433/', REFUSED],
  ['http://0x7f000001/', REFUSED],
  ['http://0x7F.0x0.0x0.0x1/', REFUSED],
  ['http://0177.0.0.1/', REFUSED],
  ['http://017700000001/', REFUSED],
  ['http://127.1/', REFUSED],
  ['http://127.0.1/', REFUSED],
  ['http://0x7f.1/', REFUSED],
  ['http://127.0.0.1./', REFUSED],
  ['http://00000177.0.0.1/', REFUSED],
  ['http://%31%32%37.0.0.1/', REFUSED],
  ['http://127。0。0。1/', REFUSED],
  ['http://１２７.0.0.1/', REFUSED],
  ['http://①②⑦.0.0.1/', REFUSED],
  ['http://127.0.0\t.1/', REFUSED],
  ['http:127.0.0.1', REFUSED],
  ['http:/127.0.0.1/', REFUSED],
  ['http:///127.0.0.1/', REFUSED],
  ['http:\\\\127.0.0.1\\', REFUSED],
  ['http://[::1]/', REFUSED],
  ['http://[0:0:0:0:0:0:0:1]/', REFUSED],
  ['http://[0000:0000:0000:0000:0000:0000:0000:0001]/', REFUSED],
  ['http://[::ffff:127.0.0.1]/', REFUSED],
  ['http://[::ffff:7f00:1]/', REFUSED],
  ['http://[0:0:0:0:0:ffff:127.0.0.1]/', REFUSED],
  ['http://[::127.0.0.1]/', REFUSED],
  ['http://[::7f00:1]/', REFUSED],
  ['http://localhost/', REFUSED],
  ['http://LOCALHOST/', REFUSED],
  ['http://localhost./', REFUSED],
  ['http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/', REFUSED],
  // Everything else that is not global unicast
  ['http://0/', REFUSED],
  ['http://0.0.0.0/', REFUSED],
  ['http://0.1.2.3/', REFUSED],
  ['http://[::]/', REFUSED],
  ['http://[::5db8:d822]/', REFUSED],
  ['http://10.0.0.1/', REFUSED],
  ['http://172.16.0.1/', REFUSED],
  ['http://172.31.255.255/', REFUSED],
  ['http://172.32.0.1/', ['172.32.0.1']],
  ['http://192.168.1.1/', REFUSED],
  ['http://3232235777/', REFUSED],
  ['http://100.64.0.1/', REFUSED],
  ['http://100.100.100.200/', REFUSED],
  ['http://100.128.0.1/', ['100.128.0.1']],
  ['http://169.254.169.254/latest/meta-data/', REFUSED],
  ['http://2852039166/', REFUSED],
  ['http://0251.0376.0251.0376/', REFUSED],
  ['http://[::ffff:169.254.169.254]/', REFUSED],
  ['http://[::ffff:a9fe:a9fe]/', REFUSED],
  ['http://168.63.129.16/', REFUSED],
  ['http://2822734096/', REFUSED],
  ['http://[::ffff:168.63.129.16]/', REFUSED],
  ['http://168.63.129.17/', ['168.63.129.17']],
  ['http://192.0.0.192/', REFUSED],
  ['http://192.0.2.1/', REFUSED],
  ['http://198.51.100.1/', REFUSED],
  ['http://203.0.113.1/', REFUSED],
  ['http://198.18.0.1/', REFUSED],
  ['http://198.19.255.255/', REFUSED],
  ['http://192.88.99.1/', REFUSED],
  ['http://192.31.196.1/', REFUSED],
  ['http://192.52.193.1/', REFUSED],
  ['http://192.175.48.1/', REFUSED],
  ['http://224.0.0.1/', REFUSED],
  ['http://240.0.0.1/', REFUSED],
  ['http://255.255.255.255/', REFUSED],
  ['http://4294967295/', REFUSED],
  ['http://[fc00::1]/', REFUSED],
  ['http://[fd00:ec2::254]/', REFUSED],
  ['http://[fe80::1]/', REFUSED],
  ['http://[fec0::1]/', REFUSED],
  ['http://[ff02::1]/', REFUSED],
  ['http://[100::1]/', REFUSED],
  ['http://[64:ff9b::127.0.0.1]/', REFUSED],
  ['http://[64:ff9b::a9fe:a9fe]/', REFUSED],
  ['http://[64:ff9b:1::10.0.0.1]/', REFUSED],
  ['http://[2001::1]/', REFUSED],
  ['http://[2001:0:7f00:1::]/', REFUSED],
  ['http://[2001:2::1]/', REFUSED],
  ['http://[2001:20::1]/', REFUSED],
  ['http://[2001:db8::1]/', REFUSED],
  ['http://[2002:7f00:1::]/', REFUSED],
  ['http://[2002:a9fe:a9fe::1]/', REFUSED],
  ['http://[2620:4f:8000::1]/', REFUSED],
  ['http://[3fff::1]/', REFUSED],
  ['http://[4000::1]/', REFUSED],
  ['http://[5f00::1]/', REFUSED],
  // Names that lead there
  ['http://rebound.example/', REFUSED],
  ['http://metadata.example/', REFUSED],
  ['http://azure.example/', REFUSED],
  ['http://mapped.example/', REFUSED],
  ['http://nat64.example/', REFUSED],
  ['http://zone.example/', REFUSED],
  // Users, ports
  ['http://photos.example@127.0.0.1/', REFUSED],
  ['http://127.0.0.1@photos.example/', REFUSED],
  ['http://user:word@photos.example/', REFUSED],
  ['http://:word@photos.example/', REFUSED],
  ['http://photos.example%40127.0.0.1/', INVALID],
  ['http://127.0.0.1#@photos.example/', REFUSED],
  ['http://127.0.0.1?@photos.example/', REFUSED],
  ['http://127.0.0.1\\@photos.example/', REFUSED],
  ['http://photos.example:22/', REFUSED],
  ['http://photos.example:8080/', REFUSED],
  ['https://photos.example:8443/', REFUSED],
  ['http://93.184.216.34:6379/', REFUSED],
  ['http://photos.example:080/', [PUBLIC]],
  ['http://photos.example:/', [PUBLIC]],
  ['http://photos.example:65536/', INVALID],
  // No addresses at all
  ['http://', INVALID],
  ['http://256.0.0.1/', INVALID],
  ['http://1.2.3.4.5/', INVALID],
  ['http://0x100000000/', INVALID],
  ['http://127.0.0.08/', INVALID],
  ['http://[::1/', INVALID],
  ['http://[fe80::1%25eth0]/', INVALID],
  ['http://[::ffff:127.1]/', INVALID],
  ['http://127.0.0.1 .example/', INVALID],
  ['file:///etc/passwd', INVALID],
  ['gopher://127.0.0.1/', INVALID],
  ['//127.0.0.1/', INVALID],
];

const FORM_COUNT = new Set(FORMS.map(([url]) => url)).size;

/** Refused forms; without those that a redirect to a page of the same host may be written as (RFC 3986, section 5.2.2). */
const REDIRECTED = FORMS.filter(([url, outcome]) => outcome === REFUSED && !/^http:\/?\d/.test(url));

describe('addresses of images under the rule `*`', () => {
  /** Hosts and addresses that a connection was opened to. */
  let connected: string[];
  /** Where the first answer sends the service, if anywhere. */
  let location: string | undefined;

  beforeEach(() => {
    connected = [];
    location = undefined;
    jest.spyOn(dns, 'lookup').mockImplementation(((name: string, _: object, done: Done) => {
      const addresses = NAMES[name];
      if (addresses == null) done(new Error(`The test knows no ${name}.`), []);
      else
        done(
          null,
          addresses.map((address) => ({ address, family: isIP(address) })),
        );
    }) as never);
    for (const client of [http, https]) jest.spyOn(client, 'get').mockImplementation(connect as never);
  });
  afterEach(() => jest.restoreAllMocks());

  /** Stands for `http.get`: resolves as it does, and then has no answer but the redirect. */
  function connect(url: URL, options: { lookup?: LookupFunction }, answered: (response: object) => void) {
    const request = new EventEmitter();
    const open = (addresses: string[]) => {
      connected.push(...addresses);
      const target = location;
      location = undefined;
      process.nextTick(() => {
        if (target == null) request.emit('error', new Error('There is no network in this test.'));
        else answered({ statusCode: 302, headers: { location: target }, destroy: () => undefined });
      });
    };
    if (isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0 || options.lookup == null) open([url.hostname]);
    else {
      options.lookup(url.hostname, { all: true }, (error, addresses) => {
        if (error) process.nextTick(() => request.emit('error', error));
        else open((addresses as { address: string }[]).map(({ address }) => address));
      });
    }
    return request;
  }

  async function outcomeOf(text: string, hosts = ['*']): Promise<string> {
    try {
      const rules = { maxImageBytes: 100, takesEmbeddings: false };
      const url = parseImage(text, { field: 'image' }, rules) as ImageUrl;
      const signal = new AbortController().signal;
      await fetchImage(url, { field: 'image' }, { hosts, maxImageBytes: 100, timeoutMs: 5000, signal });
    } catch (error) {
      if (error instanceof FaceError) return error.code;
      throw error;
    }
    throw new Error('An image came from nowhere.');
  }

  it.each(FORMS)('%j: %j', async (url, outcome) => {
    const isOpened = Array.isArray(outcome);
    expect(await outcomeOf(url)).toBe(isOpened ? 'IMAGE_URL_FAILED' : outcome);
    expect(connected).toEqual(isOpened ? outcome : []);
  });

  it('are held against the table in 80 forms or more, a third of them after a redirect too', () => {
    expect(FORM_COUNT).toBe(FORMS.length);
    expect(FORM_COUNT).toBeGreaterThanOrEqual(80);
    expect(REDIRECTED.length).toBeGreaterThan(FORM_COUNT / 3);
  });

  it.each(REDIRECTED)('%j is refused after a redirect', async (url) => {
    location = url;
    expect(await outcomeOf('http://photos.example/')).toBe('IMAGE_URL_REFUSED');
    expect(connected).toEqual([PUBLIC]);
  });

  it.each([['http://user:word@photos.example/'], ['file:///etc/passwd'], ['//127.0.0.1/']])(
    'refuse a redirect to %s',
    async (url) => {
      location = url;
      expect(await outcomeOf('http://photos.example/')).toBe('IMAGE_URL_REFUSED');
      expect(connected).toEqual([PUBLIC]);
    },
  );

  it('may have any port where the operator names it, and only public addresses where he names subdomains', async () => {
    NAMES['a.photos.example'] = [PUBLIC];
    expect(await outcomeOf('http://a.photos.example:8080/', ['*', '*.photos.example:8080'])).toBe(
      'IMAGE_URL_FAILED',
    );
    NAMES['a.photos.example'] = ['10.0.0.1'];
    expect(await outcomeOf('http://a.photos.example:8080/', ['*', '*.photos.example:8080'])).toBe(REFUSED);
    expect(connected).toEqual([PUBLIC]);
  });
});

describe(isPublicAddress.name, () => {
  it.each([
    ['8.8.8.8', true],
    ['2001:4860:4860::8888', true],
    ['::ffff:8.8.8.8', true],
    ['fe80::1%eth0', false],
    ['::ffff:10.0.0.1', false],
    ['photos.example', false],
    ['', false],
  ])('%j: %s', (address, isPublic) => expect(isPublicAddress(address)).toBe(isPublic));
});

type Done = (error: Error | null, addresses: { address: string; family: number }[]) => void;
