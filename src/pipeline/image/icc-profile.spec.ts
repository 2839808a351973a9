import sharp from 'sharp';
import { matrixProfile, P3_COLORANTS, SRGB_COLORANTS } from '../../../test/support/icc-profiles';
import { isSrgbProfile } from './icc-profile';

/** Profile that sharp embeds. */
async function profileOfSharp(name: string): Promise<Buffer> {
  const image = sharp({ create: { width: 8, height: 8, channels: 3, background: '#888' } });
  const { icc } = await sharp(await image.withIccProfile(name).jpeg().toBuffer()).metadata();
  if (icc == null) throw new Error(`No profile ${name} was embedded`);
  return icc;
}

describe(isSrgbProfile.name, () => {
  it.each([
    ['srgb', true],
    ['p3', false],
    ['cmyk', false],
  ])('says of the profile %s of sharp: %s', async (name, expected) => {
    expect(isSrgbProfile(await profileOfSharp(name))).toBe(expected);
  });

  it.each([
    ['a curve of 1,024 entries', { colorants: SRGB_COLORANTS, description: 'sRGB IEC61966-2.1' }],
    ['another name', { colorants: SRGB_COLORANTS, description: 'c2' }],
    [
      'colorants of another adaptation to D50',
      {
        colorants: [
          [0.43585, 0.22238, 0.01392],
          [0.38533, 0.71704, 0.09714],
          [0.14302, 0.06059, 0.71384],
        ],
      },
    ],
  ])('recognizes sRGB with %s', (_, profile) => {
    expect(isSrgbProfile(matrixProfile(profile))).toBe(true);
  });

  it.each([
    ['wide-gamut colorants', { colorants: P3_COLORANTS }],
    ['gamma 2.2', { colorants: SRGB_COLORANTS, gamma: 2.2 }],
    ['gamma 1.8', { colorants: SRGB_COLORANTS, gamma: 1.8 }],
    ['linear light', { colorants: SRGB_COLORANTS, gamma: 1 }],
    ['a curve of two entries', { colorants: SRGB_COLORANTS, entries: 2 }],
    ['lookup tables', { colorants: SRGB_COLORANTS, furtherTags: ['A2B0'] }],
    ['swapped colorants', { colorants: [...SRGB_COLORANTS].reverse() }],
    ['another color space', { colorants: SRGB_COLORANTS, colorSpace: 'GRAY' }],
  ])('does not take the name "sRGB" for it where the profile has %s', (_, profile) => {
    expect(isSrgbProfile(matrixProfile({ ...profile, description: 'sRGB' }))).toBe(false);
  });

  it('does not recognize a profile cut anywhere before its last curve is complete', () => {
    const whole = matrixProfile({ colorants: SRGB_COLORANTS });
    for (let length = 0; length < whole.length; length += 97) {
      expect([length, isSrgbProfile(whole.subarray(0, length))]).toEqual([length, false]);
    }
  });

  it('does not recognize bytes that are no profile', () => {
    expect(isSrgbProfile(new Uint8Array(4096).fill(255))).toBe(false);
    expect(isSrgbProfile(new Uint8Array(4096))).toBe(false);
  });
});
