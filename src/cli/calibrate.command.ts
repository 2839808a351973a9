import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { FaceError } from '../errors';
import { comparePairs, type LabeledEmbedding, SimilarityHistogram } from '../face/calibration';
import type { FaceModel } from '../face/face-model';
import { readStore } from '../face/model-files';
import { writeAtomically } from '../models/write-atomically';
import { type CalibrationSet, type CardCalibration, parseModelCard } from '../models/model-card';
import { aboutFile, readSettings, withFaceModel } from './face-model';
import { embedderOption, examples, jsonOption, type JsonOption } from './options';
import { findPhotos, PERSON, type PersonPhoto } from './photo-pattern';
import { printJson, printLine, printTable } from './print';
import { Progress } from './progress';
import { readImage } from './read-image';
import { errorLine } from './report-error';

interface CalibrateOptions extends JsonOption {
  set: string[];
  detector?: string;
  embedder?: string;
  write?: boolean;
  card?: string;
}

/** Photos of one origin. */
interface PhotoSet {
  name: string;
  photos: PersonPhoto[];
}

/** Result counts of one set. */
interface CountedSet extends CalibrationSet {
  /** Photos in which no face was found: none of their pairs is counted. */
  withoutFace: number;
  /** Files that cannot be decoded. */
  unreadable: number;
  histogram: SimilarityHistogram;
}

export function addCalibrateCommand(program: Command): void {
  program
    .command('calibrate')
    .summary('Measure error rates on your own photos')
    .description(
      'Calibrate an embedder on your own photos: measure the similarity of different people, from which thresholds for an error rate follow.',
    )
    .requiredOption(
      '--set <name=pattern>',
      `photos from one source; ${PERSON} in the pattern stands for the name of the person: "staff=photos/${PERSON}/*.jpg". Repeatable: photos are compared only within a set`,
      (value: string, before: string[] = []) => [...before, value],
    )
    .option('--detector <name>', 'detector, see "likeness models list" (default: first of FACE_DETECTORS)')
    .addOption(embedderOption())
    .option(
      '--write',
      "write the calibration to the embedder's card if it is in a models folder, otherwise to a copy in the first models folder",
    )
    .option('--card <file>', 'with --write: card file to write to instead')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'likeness calibrate --set "staff=photos/{person}/*.jpg"',
        'likeness calibrate --set "staff=photos/{person}/*.jpg" --set "visitors=more/{person}_*.jpg" --write',
      ),
    )
    .action(calibrate);
}

async function calibrate({ set, detector, embedder, write, card, json }: CalibrateOptions): Promise<void> {
  if (card != null && !write) throw new FaceError('PARAMETER_INVALID', 'Option --card needs --write.');
  const sets = await readSets(set);
  await withFaceModel({ detector, embedder, isBatch: true }, async (model, { workerCount }) => {
    const progress = new Progress('photos', sets.reduce((sum, { photos }) => sum + photos.length, 0)); // prettier-ignore
    const counted: CountedSet[] = [];
    for (const one of sets) counted.push(await countSet(one, model, workerCount, progress));
    progress.end();
    const calibration = calibrationOf(counted, model.defaultDetector);
    const name = model.defaultEmbedder;
    const path = write ? await writeCard(name, calibration, card) : null;
    if (json) printJson({ embedder: name, calibration, sets: counted.map(setJson), card: path });
    else printCalibration(name, calibration, counted, path);
  });
}

async function readSets(given: readonly string[]): Promise<PhotoSet[]> {
  const sets: PhotoSet[] = [];
  for (const text of given) {
    const [, name, pattern] = /^\s*([^=]*[^=\s])\s*=(.+)$/s.exec(text) ?? [];
    if (name == null) {
      throw new FaceError(
        'PARAMETER_INVALID',
        `Expected name=pattern for --set but received ${JSON.stringify(text)}.`,
      );
    }
    if (sets.some((other) => other.name === name)) {
      throw new FaceError('PARAMETER_INVALID', `Two sets have the name ${JSON.stringify(name)}.`);
    }
    const photos = await findPhotos(pattern);
    assertPeople(name, new Set(photos.map(({ person }) => person)).size, 'photos');
    sets.push({ name, photos });
  }
  return sets;
}

async function countSet(
  { name, photos }: PhotoSet,
  model: FaceModel,
  workerCount: number,
  progress: Progress,
): Promise<CountedSet> {
  const faces: LabeledEmbedding[] = [];
  let [withoutFace, unreadable] = [0, 0];
  const represent = async ({ person, file }: PersonPhoto): Promise<void> => {
    try {
      const image = await readImage(file, 'set');
      const result = await aboutFile(file, 'set', model.represent(image, { faceSelection: 'best' }));
      const [face] = result.faces;
      if (face == null) withoutFace++;
      else faces.push({ person, embedding: face.embedding });
    } catch (error) {
      if (!(error instanceof FaceError)) throw error;
      if (error.code === 'FACE_NOT_DETECTED') withoutFace++;
      // One damaged file among thousands must not cost the work on all others.
      else if (error.code.startsWith('IMAGE_')) {
        unreadable++;
        progress.end();
        process.stderr.write(`${errorLine(error)}\n`);
      } else throw error;
    } finally {
      progress.add(1);
    }
  };
  const waiting = [...photos];
  // Two per worker keep it busy while a reply is on its way. Not more: time in the queue counts toward the deadline.
  const lanes = Array.from({ length: 2 * workerCount }, async () => {
    for (let photo = waiting.shift(); photo != null; photo = waiting.shift()) await represent(photo);
  });
  await Promise.all(lanes);
  const people = new Set(faces.map(({ person }) => person)).size;
  assertPeople(name, people, 'photos with a face');
  const histogram = await comparePairs(faces);
  const { nonMatedPairs, matedPairs } = histogram;
  const counts = { people, photos: faces.length, nonMatedPairs, matedPairs };
  return { name, ...counts, withoutFace, unreadable, histogram };
}

function assertPeople(set: string, people: number, what: string): void {
  if (people >= 2) return;
  throw new FaceError(
    'PARAMETER_INVALID',
    `Set ${JSON.stringify(set)} has ${what} of ${people === 1 ? 'only one person' : 'nobody'}: calibration compares different people and needs at least two.`,
  );
}

function calibrationOf(counted: readonly CountedSet[], detector: string): CardCalibration {
  const all = new SimilarityHistogram();
  for (const { histogram } of counted) all.addAll(histogram);
  return {
    date: new Date().toISOString().slice(0, 10),
    detector,
    sets: counted.map(({ name, people, photos, nonMatedPairs, matedPairs }) => ({
      name,
      people,
      photos,
      nonMatedPairs,
      matedPairs,
    })),
    points: all.points(),
  };
}

/** @returns path of the card that was written. */
async function writeCard(name: string, calibration: CardCalibration, card?: string): Promise<string> {
  const { modelDirs } = readSettings();
  const path = card == null ? cardPath(name, modelDirs) : resolve(card);
  const json = card == null ? await cardOf(name, modelDirs) : await readCard(path);
  if (json.name !== name) {
    throw new FaceError('PARAMETER_INVALID', `The card ${basename(path)} does not belong to ${name}.`);
  }
  const changed = { ...json, embedding: { ...(json.embedding as object), calibration } };
  parseModelCard(changed, basename(path));
  await mkdir(dirname(path), { recursive: true });
  await writeAtomically(path, Buffer.from(`${JSON.stringify(changed, null, 2)}\n`));
  return path;
}

/**
 * A card in a later folder replaces one of the same name: in an earlier folder the calibration would have no effect.
 */
function cardPath(name: string, modelDirs: readonly string[]): string {
  const paths = modelDirs.map((dir) => join(dir, 'cards', `${name}.json`));
  return paths.findLast((path) => existsSync(path)) ?? paths[0];
}

/** The card in effect, from any folder. */
async function cardOf(name: string, modelDirs: readonly string[]): Promise<Record<string, unknown>> {
  const { card } = (await readStore(modelDirs)).get(name) ?? {};
  return JSON.parse(JSON.stringify(card)) as Record<string, unknown>;
}

async function readCard(path: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new FaceError(
      'PARAMETER_INVALID',
      `The card ${JSON.stringify(path)} cannot be read or is not valid JSON.`,
      {},
      { cause: error },
    );
  }
}

function setJson({ histogram: _, ...set }: CountedSet): Omit<CountedSet, 'histogram'> {
  return set;
}

function printCalibration(
  name: string,
  { detector, points }: CardCalibration,
  counted: readonly CountedSet[],
  path: string | null,
): void {
  printTable(
    ['set', 'people', 'photos', 'without face', 'unreadable', 'same-person pairs', 'different-person pairs'],
    counted.map((set) => [
      set.name,
      ...[set.people, set.photos, set.withoutFace, set.unreadable, set.matedPairs, set.nonMatedPairs].map(
        String,
      ),
    ]),
  );
  printLine('');
  printTable(
    ['FMR', 'similarity', 'false matches', 'FNMR', '', ...counted.map((set) => `FMR / FNMR ${set.name}`)],
    points.map(({ fmr, minSimilarity, falseMatches, fnmr, isExtrapolated }) => [
      String(fmr),
      minSimilarity.toFixed(4),
      String(falseMatches),
      percent(fnmr),
      isExtrapolated ? 'extrapolated' : 'counted',
      ...counted.map(({ histogram }) => {
        const rates = histogram.ratesAt(minSimilarity);
        return `${percent(rates.fmr)} / ${percent(rates.fnmr)}`;
      }),
    ]),
  );
  printLine('');
  printLine(`detector ${detector}, embedder ${name}`);
  printLine(
    path == null ? 'not saved: use --write to save the calibration to the card' : `written to ${path}`,
  );
}

function percent(rate: number | null): string {
  return rate == null ? '-' : `${(100 * rate).toPrecision(3)} %`;
}
