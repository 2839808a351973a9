import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Erasure, type ErasureReceipt, receiptProblem, signReceipt } from './erasure-receipt';
import { openReceiptKey, readReceiptKey, receiptKeyId } from './receipt-key';

const dir = mkdtempSync(join(tmpdir(), 'likeness-receipts-'));
afterAll(() => rmSync(dir, { recursive: true }));

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const KEY = { id: receiptKeyId(privateKey), privateKey };
const ERASURE: Erasure = {
  erased: 'subject',
  galleryId: 'staff',
  subject: 'Žofie "Z"',
  subjectFormat: 'plain',
  referenceId: null,
  subjectCount: 1,
  referenceCount: 3,
  erasedAt: '2026-11-28T12:00:00.000Z',
  requestId: 'r-1',
};

describe(signReceipt.name, () => {
  const receipt = signReceipt(ERASURE, KEY);

  it('signs the fields in canonical JSON', () => {
    const { signature, ...fields } = receipt;
    expect(fields).toEqual({ type: 'likeness-erasure-receipt/1', ...ERASURE, keyId: KEY.id });
    const canonical =
      `{"erased":"subject","erasedAt":"2026-11-28T12:00:00.000Z","galleryId":"staff","keyId":"${KEY.id}",` +
      '"referenceCount":3,"referenceId":null,"requestId":"r-1","subject":"Žofie \\"Z\\"","subjectCount":1,' +
      '"subjectFormat":"plain","type":"likeness-erasure-receipt/1"}';
    expect(verify(null, Buffer.from(canonical), publicKey, Buffer.from(signature, 'base64'))).toBe(true);
  });

  it('holds whatever the order of its fields and the spaces between them', () => {
    const copy = JSON.parse(JSON.stringify(receipt, null, 4)) as ErasureReceipt;
    expect(receiptProblem(copy, publicKey)).toBeNull();
    const reversed = Object.fromEntries(Object.entries(copy).reverse());
    expect(receiptProblem(reversed, publicKey)).toBeNull();
  });

  it.each(Object.keys(ERASURE))('does not hold with another %s', (field) => {
    const value = ERASURE[field as keyof Erasure];
    const other = typeof value === 'number' ? value + 1 : `${value}x`;
    expect(receiptProblem({ ...receipt, [field]: other }, publicKey)).toMatch(/was changed/);
  });

  it.each([
    ['text', 'receipt', /not a receipt/],
    ['null', null, /not a receipt/],
    ['another type', { ...receipt, type: 'likeness-erasure-receipt/2' }, /type/],
    ['a field more', { ...receipt, note: 'all was erased' }, /added/],
    ['an object for a field', { ...receipt, subject: {} }, /added/],
    ['a field less', (({ subject: _subject, ...rest }) => rest)(receipt), /missing/],
    ['no signature', { ...receipt, signature: '' }, /changed/],
    ['a number for a signature', { ...receipt, signature: 7 }, /changed/],
    [
      'another signature',
      { ...receipt, signature: signReceipt({ ...ERASURE, subject: 'x' }, KEY).signature },
      /changed/,
    ],
    ['spaces in the signature', { ...receipt, signature: ` ${receipt.signature}` }, /changed/],
  ])('does not take %s', (_, value, problem) => {
    expect(receiptProblem(value, publicKey)).toMatch(problem);
  });

  it('does not take a receipt of another key, whatever it says its key is', () => {
    const other = generateKeyPairSync('ed25519');
    const forged = signReceipt(ERASURE, { id: KEY.id, privateKey: other.privateKey });
    expect(receiptProblem(forged, publicKey)).toMatch(/changed/);
    expect(receiptProblem(receipt, other.publicKey)).toMatch(/another key/);
  });
});

describe(receiptKeyId.name, () => {
  it('is the thumbprint of RFC 8037, appendix A.3', () => {
    const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
    const key = createPublicKey({ key: { crv: 'Ed25519', kty: 'OKP', x }, format: 'jwk' });
    expect(receiptKeyId(key)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });
});

describe(openReceiptKey.name, () => {
  it('makes the key once, for its owner alone', () => {
    const path = join(dir, 'receipt-key.pem');
    const { id } = openReceiptKey(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(openReceiptKey(path).id).toBe(id);
    expect(readReceiptKey(path).id).toBe(id);
    expect(readdirSync(dir)).toEqual(['receipt-key.pem']);
  });

  it.each([
    ['no PEM', 'no key'],
    ['a public key', publicKey.export({ format: 'pem', type: 'spki' }) as string],
    [
      'a key of another kind',
      generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    ],
  ])('refuses %s, and leaves the file as it is', (_, content) => {
    const path = join(dir, 'other.pem');
    writeFileSync(path, content);
    expect(() => openReceiptKey(path)).toThrow(expect.objectContaining({ code: 'RECEIPT_KEY_INVALID' }));
    expect(readFileSync(path, 'utf8')).toBe(content);
  });

  it('says where it can neither be made nor read', () => {
    const path = join(dir, 'absent', 'key.pem');
    expect(() => openReceiptKey(path)).toThrow(/FACE_RECEIPT_KEY_FILE cannot be created \(ENOENT\)/);
    expect(() => readReceiptKey(path)).toThrow(/FACE_RECEIPT_KEY_FILE cannot be read \(ENOENT\)/);
  });
});
