import type { FaceDto } from '../server/http/dto/face.dto';
import type { FaceDetection, Landmarks } from '../pipeline/face.types';

/** Shorter work shows no notices. */
const QUIET_MS = 1000;
/** Control sequence of terminals that erases from the cursor to the end of the line. */
const ERASE_LINE = '\x1b[K';

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(document: unknown): void {
  printLine(JSON.stringify(document, null, 2));
}

/** Prints columns as wide as their longest cell, two spaces apart. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  for (const line of lines) {
    printLine(
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    );
  }
}

/** Prints a warning on stderr, over a notice that is shown there. */
export function printWarning(message: string): void {
  process.stderr.write(`${process.stderr.isTTY ? `\r${ERASE_LINE}` : ''}${message}\n`);
}

/**
 * Runs `work` and shows its latest step on stderr if that is a terminal: nothing in the first second, then one line, which
 * disappears at the end.
 *
 * @param first - the notice if no step was done in that second.
 */
export async function withNotices<T>(
  first: string,
  work: (tell: (step: string) => void) => Promise<T>,
  out: Pick<NodeJS.WriteStream, 'write' | 'isTTY'> & { columns?: number } = process.stderr,
): Promise<T> {
  if (!out.isTTY) return work(() => undefined);
  let latest = first;
  let isLate = false;
  // A wrapped line cannot be overwritten.
  const show = () => out.write(`\r${ERASE_LINE}${latest.slice(0, (out.columns || Infinity) - 1)}`);
  const timer = setTimeout(() => {
    isLate = true;
    show();
  }, QUIET_MS);
  try {
    return await work((step) => {
      latest = step;
      if (isLate) show();
    });
  } finally {
    clearTimeout(timer);
    if (isLate) out.write(`\r${ERASE_LINE}`);
  }
}

/*
 * The JSON of the service, without requestId. Its DTO classes are imported as types only: loading Swagger would take
 * longer than a comparison.
 */

export function faceJson({ landmarks, ...detection }: FaceDetection): FaceDto {
  const { box, detectionScore, alignmentScore, presentationAttack } = detection;
  const face = { box, landmarks: landmarks && landmarksJson(landmarks), detectionScore, alignmentScore };
  return presentationAttack == null ? face : { ...face, presentationAttack };
}

function landmarksJson([
  imageLeftEye,
  imageRightEye,
  noseTip,
  imageLeftMouth,
  imageRightMouth,
]: Landmarks): FaceDto['landmarks'] {
  return { imageLeftEye, imageRightEye, noseTip, imageLeftMouth, imageRightMouth };
}

/** Text output: box in whole pixels, scores with two digits. */
export function faceText({ box, detectionScore, presentationAttack }: FaceDto): string {
  const [x, y, width, height] = [box.x, box.y, box.width, box.height].map(Math.round);
  const text = `${width} x ${height} at (${x}, ${y}), detection score ${detectionScore.toFixed(2)}`;
  if (presentationAttack == null) return text;
  const { score, label } = presentationAttack;
  return `${text}, presentation: ${label}${score == null ? '' : ` (${score.toFixed(2)})`}`;
}

/** Text output: number of faces, with the total if some were filtered out. */
export function countText(shown: number, found: number): string {
  if (shown > found) return 'the whole image as the face';
  const count = shown === found ? String(found) : `${shown} of ${found}`;
  return `${count} ${found === 1 ? 'face' : 'faces'}`;
}
