import { seededRandom } from './statistics.mjs';

export const REFERENCES_PER_SUBJECT = 4;
/** Length of what sets the references of a subject apart, against their common part: a similarity of 0.7 among them. */
const NOISE = 0.65;

/** Embeddings of people, {@link REFERENCES_PER_SUBJECT} of each, the same on every run. */
export class People {
  #random = seededRandom(1);
  #count = 0;

  constructor(dimensions) {
    this.dimensions = dimensions;
  }

  next() {
    if (this.#count++ % REFERENCES_PER_SUBJECT === 0) this.person = this.#direction();
    return this.like(this.person);
  }

  like(embedding) {
    const noise = this.#direction();
    for (let i = 0; i < noise.length; i++) noise[i] = embedding[i] + NOISE * noise[i];
    return unit(noise);
  }

  #direction() {
    const values = new Float32Array(this.dimensions);
    // The sum of three is close to a normal distribution.
    for (let i = 0; i < values.length; i++)
      values[i] = this.#random() + this.#random() + this.#random() - 1.5;
    return unit(values);
  }
}

function unit(values) {
  let squares = 0;
  for (const value of values) squares += value * value;
  const length = Math.sqrt(squares);
  for (let i = 0; i < values.length; i++) values[i] /= length;
  return values;
}
