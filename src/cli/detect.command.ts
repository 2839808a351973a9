import { type Command, InvalidArgumentError } from 'commander';
import { writeFile } from 'node:fs/promises';
import type { DetectResponseDto } from '../server/detection/detection.dto';
import { FaceError } from '../errors';
import { DetectionService, type Detection } from '../face/detection.service';
import type { FaceCallOptions } from '../face/face-model';
import { imageLimitsOf } from '../face/face.options';
import type { ImageLimits } from '../pipeline/image/image-limits';
import { aboutFile, readImage, withFaceModel } from './face-model';
import { addFaceListOptions, jsonOption, type JsonOption } from './options';
import { countText, faceJson, faceText, printJson, printLine } from './print';

interface DrawOption {
  draw?: string;
}

export function addDetectCommand(program: Command): void {
  const command = program
    .command('detect')
    .description('Detect the faces in a photo. A photo without a face is not an error.')
    .argument('<image>', 'image file');
  addFaceListOptions(command)
    .option(
      '--draw <out.png>',
      'write a PNG of the upright photo with boxes, landmarks and detection scores, at most 2048 pixels a side',
      pngFile,
    )
    .addOption(jsonOption())
    .action(detect);
}

async function detect(
  file: string,
  { json, draw, ...options }: FaceCallOptions & DrawOption & JsonOption,
): Promise<void> {
  const image = await readImage(file, 'image');
  const result = await withFaceModel(options, async (model, settings) => {
    const detection = await aboutFile(file, 'image', new DetectionService(model).detect(image, options));
    if (draw != null) await writeDrawing(draw, image, detection, imageLimitsOf(settings));
    return detection;
  });
  if (json) printJson(detectionJson(result));
  else printDetection(file, result, draw);
}

function pngFile(name: string): string {
  if (/\.png$/i.test(name)) return name;
  throw new InvalidArgumentError('Expected a file name that ends in .png.');
}

async function writeDrawing(
  file: string,
  image: Uint8Array,
  { faces }: Detection,
  limits: ImageLimits,
): Promise<void> {
  // Imported here: no other command needs the decoder.
  const { drawFaces } = await import('../pipeline/image/draw-faces.js');
  const png = await drawFaces(image, faces, limits);
  try {
    await writeFile(file, png);
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new FaceError(
      'PARAMETER_INVALID',
      `The file ${JSON.stringify(file)} given as --draw cannot be written: ${code}.`,
      { fields: { draw: code } },
      { cause: error },
    );
  }
}

function detectionJson({
  faces,
  unalignedCount: _,
  ...image
}: Detection): Omit<DetectResponseDto, 'requestId'> {
  return { ...image, faces: faces.map(faceJson) };
}

function printDetection(file: string, { faces, faceCount, ...image }: Detection, drawing?: string): void {
  const { imageWidth, imageHeight, rotation, detector } = image;
  const turned = rotation === 0 ? '' : `, turned by ${rotation} degrees`;
  printLine(
    `${file}: ${imageWidth} x ${imageHeight}${turned}, ${countText(faces.length, faceCount)}, ${detector ?? 'no detector'}`,
  );
  for (const face of faces) printLine(`  ${faceText(face)}`);
  if (drawing != null) printLine(`drawn to ${drawing}`);
}
