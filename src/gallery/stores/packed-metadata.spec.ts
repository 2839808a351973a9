import { packMetadata, unpackMetadata } from './packed-metadata';

describe(packMetadata.name, () => {
  it('is metadata alone, as older versions wrote it, where nothing came later', () => {
    expect(packMetadata({ a: 1 }, { consentRef: null, expiresAt: null })).toEqual({ a: 1 });
    expect(packMetadata(0, {})).toBe(0);
  });

  it.each([[{ a: 1 }], [0]])('brings back what was packed with %j', (metadata) => {
    const packed = JSON.parse(JSON.stringify(packMetadata(metadata, { consentRef: 'c-1', purpose: null })));
    expect(unpackMetadata(packed)).toEqual({ metadata, later: { consentRef: 'c-1' } });
  });

  it('reads what older versions wrote', () => {
    expect(unpackMetadata({ a: 1 })).toEqual({ metadata: { a: 1 }, later: {} });
    expect(unpackMetadata(0)).toEqual({ metadata: 0, later: {} });
  });
});
