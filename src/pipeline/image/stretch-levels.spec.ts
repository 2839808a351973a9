import { gainOf, stretchLevels } from './stretch-levels';
import type { RgbImage } from './rgb-image';

/** Gray pixels with levels from 0 to `brightest`. */
function ramp(brightest: number) {
  const [width, height] = [140, 100];
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++)
    data.fill(Math.round(((i % width) / (width - 1)) * brightest), i * 3, i * 3 + 3);
  return { data, width, height };
}

const brighten = <I extends RgbImage>(image: I) => stretchLevels(image, gainOf(image));

const brightestOf = ({ data }: { data: Uint8Array }) => data.reduce((max, level) => Math.max(max, level), 0);

describe(stretchLevels.name, () => {
  it.each([110, 255])('gives a picture back whose levels reach %d', (brightest) => {
    const image = ramp(brightest);
    expect(brighten(image)).toBe(image);
  });

  it.each([25, 60, 90])('brightens one whose levels reach %d only, to nearly white', (brightest) => {
    const image = ramp(brightest);
    const stretched = brighten(image);
    expect(brightestOf(stretched)).toBeGreaterThanOrEqual(228);
    expect(brightestOf(stretched)).toBeLessThan(255);
    expect(brightestOf(image)).toBe(brightest);
  });

  it('takes all levels and colors times one factor', () => {
    const image = ramp(50);
    for (let i = 0; i < image.data.length; i += 3) image.data[i + 2] = Math.round(image.data[i] / 2);
    const { data } = brighten(image);
    const factor = brightestOf({ data }) / 50;
    data.forEach((level, i) => expect(Math.abs(level - image.data[i] * factor)).toBeLessThanOrEqual(2.5));
  });

  it('makes noise of a picture that is all but black no louder than by a factor of 12', () => {
    expect(brightestOf(brighten(ramp(5)))).toBe(60);
  });

  it('leaves black as it is', () => {
    const image = ramp(0);
    expect(brighten(image)).toBe(image);
  });

  it('is not misled by a few bright pixels in the dark', () => {
    const image = ramp(40);
    // The sampled pixels are among them.
    image.data.fill(255, 0, 21 * 3);
    expect(brighten(image)).not.toBe(image);
  });

  it('keeps what else is known of the image', () => {
    const image = { ...ramp(40), originalWidth: 280 };
    expect(brighten(image)).toMatchObject({ width: 140, height: 100, originalWidth: 280 });
  });
});
