import type { Answer, Wire } from './wire';
import type { Photos } from './photos';

/** What a file of cases gets: the service under test, booted once for all of them. */
export interface Setup {
  wire: Wire;
  photos: Photos;
}

export type Area = Record<'x' | 'y' | 'w' | 'h', number> & Record<string, number | [number, number] | null>;

export const AREA_KEYS = ['x', 'y', 'w', 'h', 'left_eye', 'right_eye'];
export const VERIFY_KEYS = [
  'verified',
  'distance',
  'threshold',
  'confidence',
  'model',
  'detector_backend',
  'similarity_metric',
  'facial_areas',
  'time',
];
export const NULL_AREA = { x: null, y: null, w: null, h: null, left_eye: null, right_eye: null };

/** The body of an answer that must be a success. */
export function ok({ status, body, text }: Answer) {
  if (status !== 200) throw new Error(`Expected status 200 but received ${status}: ${text.slice(0, 500)}`);
  return body;
}

/** True where the number has no more decimals than this. */
export function hasDecimals(value: number, atMost: number): boolean {
  return Number(value.toFixed(atMost)) === value;
}

/** An area of a found face: whole numbers, inside the image, eyes where the person has them. */
export function expectArea(area: Area, size: { width: number; height: number }): void {
  expect(Object.keys(area)).toEqual(AREA_KEYS);
  const { x, y, w, h } = area;
  for (const value of [x, y, w, h]) expect(Number.isInteger(value)).toBe(true);
  expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
  expect(Math.min(w, h)).toBeGreaterThan(0);
  expect(x + w).toBeLessThan(size.width);
  expect(y + h).toBeLessThan(size.height);
  const [left, right] = [area.left_eye, area.right_eye] as [number, number][];
  for (const eye of [left, right]) {
    expect(eye.every(Number.isInteger)).toBe(true);
    expect(eye[0]).toBeGreaterThan(x);
    expect(eye[0]).toBeLessThan(x + w);
    expect(eye[1]).toBeGreaterThan(y);
    expect(eye[1]).toBeLessThan(y + h);
  }
  // The left eye of a person who looks at us is on our right.
  expect(left[0]).toBeGreaterThan(right[0]);
}

/** The area that stands for a whole image: no eyes. */
export function wholeArea({ width, height }: { width: number; height: number }): object {
  return { x: 0, y: 0, w: width, h: height, left_eye: null, right_eye: null };
}

/**
 * A refusal in one of DeepFace's shapes, with a text of one line that tells nothing of the server.
 *
 * @param kind - `exception`: the image could not be read from the request; `error`: all that comes after; `either`: where
 * DeepFace itself uses one or the other, by how the image was sent.
 * @returns the text.
 */
export function refused(answer: Answer, kind: 'exception' | 'error' | 'either', verb?: string): string {
  expect([answer.status, answer.text]).toEqual([400, expect.any(String)]);
  expect(answer.headers.get('content-type')).toContain('application/json');
  const keys = Object.keys(answer.body);
  if (kind === 'either') expect(['exception', 'error']).toContain(keys[0]);
  else expect(keys[0]).toBe(kind);
  const text = answer.body[keys[0]] as string;
  if (keys[0] === 'error' && verb) expect(text.startsWith(`Exception while ${verb}: `)).toBe(true);
  expectNothingTold(answer.text);
  return text;
}

/** No stack trace, no folder or source file of the server. */
export function expectNothingTold(text: string): void {
  expect(text).not.toMatch(/Traceback|node_modules|\.(ts|js):\d|\bat .+\(.+:\d+|\/dist\/|\/src\//);
  expect(text).not.toContain(process.cwd());
}
