import { type Command, InvalidArgumentError } from 'commander';
import { writeFile } from 'node:fs/promises';
import type { DetectResponseDto } from '../server/detection/detection.dto';
import type { FaceDto } from '../server/http/dto/face.dto';
import { FaceError } from '../errors';
import { DetectionService, type Detection } from '../face/detection.service';
import type { FaceCallOptions } from '../face/face-model';
import { imageLimitsOf } from '../face/face.options';
import type { FaceDetection } from '../pipeline/face.types';
import { answerImages } from './answer-images';
import { readSettings } from './face-model';
import { listImages } from './image-files';
import { addEngineOptions, type EngineOptions } from './image-task';
import {
  examples,
  addFaceListOptions,
  imagesArgument,
  imagesJsonOption,
  type JsonOption,
  unwritable,
} from './options';
import { countText, faceJson, faceText, printLine } from './print';
import type { NamedImage } from './read-image';

type DetectOptions = FaceCallOptions & EngineOptions & JsonOption & { draw?: string };

/** Faces of one image, as the service returns them. */
type DetectionAnswer = Omit<DetectResponseDto, 'requestId'>;

export function addDetectCommand(program: Command): void {
  const command = program
    .command('detect')
    .description('Detect the faces in photos. A photo without a face is not an error.')
    .addArgument(imagesArgument());
  addFaceListOptions(command).option(
    '--draw <out.png>',
    'write a PNG of the upright photo with boxes, landmarks and detection scores, at most 2048 pixels a side; for one photo',
    pngFile,
  );
  addEngineOptions(command, 'photos')
    .addOption(imagesJsonOption())
    .addHelpText(
      'after',
      examples(
        'likeness detect photo.jpg --draw faces.png',
        'likeness detect photos/ --json > faces.jsonl',
        'cat photo.jpg | likeness detect -',
      ),
    )
    .action(detect);
}

async function detect(
  paths: string[],
  { json, server, apiKey, concurrency, draw, ...options }: DetectOptions,
): Promise<void> {
  const images = await listImages(paths);
  if (draw != null && images.isList) {
    throw new FaceError('PARAMETER_INVALID', 'Option --draw needs exactly one image file.');
  }
  await answerImages<DetectionAnswer>(
    images,
    { json, server, apiKey, concurrency },
    {
      route: '/v1/detect',
      options,
      needs: options,
      local: (model) => {
        const service = new DetectionService(model);
        return async ({ image }) => detectionJson(await service.detect(image, options));
      },
    },
    (file, answer) => printDetection(file, answer, draw),
    draw == null ? undefined : (image, { faces }) => writeDrawing(draw, image, faces),
  );
}

function pngFile(name: string): string {
  if (/\.png$/i.test(name)) return name;
  throw new InvalidArgumentError('Expected a file name that ends in .png.');
}

async function writeDrawing(file: string, { bytes }: NamedImage, faces: readonly FaceDto[]): Promise<void> {
  // Imported here: no other command needs the decoder.
  const { drawFaces } = await import('../pipeline/image/draw-faces.js');
  const png = await drawFaces(bytes, faces.map(detectionOf), imageLimitsOf(readSettings()));
  try {
    await writeFile(file, png);
  } catch (error) {
    throw unwritable(file, 'draw', error);
  }
}

function detectionOf({ landmarks, ...face }: FaceDto): FaceDetection {
  if (landmarks == null) return { ...face, landmarks: null };
  const { imageLeftEye, imageRightEye, noseTip, imageLeftMouth, imageRightMouth } = landmarks;
  return { ...face, landmarks: [imageLeftEye, imageRightEye, noseTip, imageLeftMouth, imageRightMouth] };
}

function detectionJson({ faces, unalignedCount: _, ...image }: Detection): DetectionAnswer {
  return { ...image, faces: faces.map(faceJson) };
}

function printDetection(file: string, answer: DetectionAnswer, drawing?: string): void {
  const { faces, faceCount, imageWidth, imageHeight, rotation, detector } = answer;
  const turned = rotation === 0 ? '' : `, turned by ${rotation} degrees`;
  printLine(
    `${file}: ${imageWidth} x ${imageHeight}${turned}, ${countText(faces.length, faceCount)}, ${detector ?? 'no detector'}`,
  );
  for (const face of faces) printLine(`  ${faceText(face)}`);
  if (drawing != null) printLine(`drawn to ${drawing}`);
}
