import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { ImageSize } from '../../face/represent-input';
import { REFUSAL_REASONS, type RefusalReason } from '../../face/verification.service';
import {
  type AnalyzedFace,
  type Expression,
  type FaceDetection,
  type Gender,
  type Metric,
  METRICS,
  type Point,
  type RepresentedFace,
} from '../../pipeline/face.types';
import { round } from './confidence';
import type { Action, NamedDetector } from './model-names';
import {
  EXAMPLE_DETECTOR,
  EXAMPLE_DISTANCE,
  EXAMPLE_EMBEDDER,
  EXAMPLE_THRESHOLD,
} from '../http/openapi/examples';

const POINT = { type: 'array', items: { type: 'integer' }, minItems: 2, maxItems: 2 } as const;

/** Position of a face in whole pixels of the upright image (EXIF applied). All fields are null for an embedding. */
export class FacialAreaDto {
  @ApiProperty({ type: 'integer', nullable: true, example: 38, description: 'Left edge, inside the image' })
  x!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, example: 35, description: 'Top edge, inside the image' })
  y!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, example: 77, description: 'Width, inside the image' })
  w!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, example: 92, description: 'Height, inside the image' })
  h!: number | null;

  @ApiProperty({
    ...POINT,
    nullable: true,
    example: [95, 72],
    description: "The person's left eye, on the right of the upright face: [x, y]. null if unknown",
  })
  left_eye!: number[] | null;

  @ApiProperty({
    ...POINT,
    nullable: true,
    example: [61, 72],
    description: "The person's right eye, on the left of the upright face: [x, y]. null if unknown",
  })
  right_eye!: number[] | null;

  @ApiPropertyOptional({ ...POINT, nullable: true, description: 'Detector retinaface only' })
  nose?: number[] | null;

  @ApiPropertyOptional({
    ...POINT,
    nullable: true,
    description: "On the person's left. Detector retinaface only",
  })
  mouth_left?: number[] | null;

  @ApiPropertyOptional({
    ...POINT,
    nullable: true,
    description: "On the person's right. Detector retinaface only",
  })
  mouth_right?: number[] | null;

  /** @param face - `null` for an embedding. */
  static from(face: FaceDetection | null, image: ImageSize | null, detector: NamedDetector): FacialAreaDto {
    if (face == null || image == null) {
      return { x: null, y: null, w: null, h: null, left_eye: null, right_eye: null };
    }
    const { imageWidth, imageHeight } = image;
    const { box, landmarks } = face;
    // DeepFace excludes the last column and row from the box of a detector.
    const edge = landmarks == null ? 0 : 1;
    const [left, width] = insideOf(box.x, box.width, imageWidth - edge);
    const [top, height] = insideOf(box.y, box.height, imageHeight - edge);
    const [rightEye, leftEye, nose, mouthRight, mouthLeft] = (landmarks ?? []).map((point) =>
      pixelOf(point, image),
    );
    const area = {
      x: left,
      y: top,
      w: width,
      h: height,
      left_eye: leftEye ?? null,
      right_eye: rightEye ?? null,
    };
    if (landmarks == null || detector.card == null || !/^retinaface/.test(detector.card)) return area;
    return { ...area, nose, mouth_left: mouthLeft, mouth_right: mouthRight };
  }
}

/** Areas of the compared faces. */
export class FacialAreasDto {
  @ApiProperty({ type: FacialAreaDto })
  img1!: FacialAreaDto;

  @ApiProperty({ type: FacialAreaDto })
  img2!: FacialAreaDto;
}

/** Response of POST /verify. */
export class DeepfaceVerifyAnswerDto {
  @ApiProperty({
    example: true,
    description: 'distance <= threshold; false if neither image has a face',
  })
  verified!: boolean;

  @ApiPropertyOptional({
    enum: REFUSAL_REASONS,
    description:
      'Only if the pair is rejected regardless of the distance. no_face: with enforce_detection=false, neither image has a face',
  })
  reason?: RefusalReason;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: EXAMPLE_DISTANCE,
    description:
      'Distance of the closest pair of faces, six decimals; null for keys without access to distances',
  })
  distance!: number | null;

  @ApiProperty({ example: EXAMPLE_THRESHOLD, description: 'Applied threshold, inclusive' })
  threshold!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 51,
    minimum: 0,
    maximum: 100,
    description:
      "DeepFace's confidence, two decimals; relative to its own threshold, regardless of the requested one; null for keys without access to distances",
  })
  confidence!: number | null;

  @ApiProperty({ example: EXAMPLE_EMBEDDER, description: 'Name as requested' })
  model!: string;

  @ApiProperty({ example: EXAMPLE_DETECTOR, description: 'Name as requested' })
  detector_backend!: string;

  @ApiProperty({ enum: METRICS, example: 'cosine' })
  similarity_metric!: Metric;

  @ApiProperty({ type: FacialAreasDto })
  facial_areas!: FacialAreasDto;

  @ApiProperty({ example: 0.08, description: 'Seconds, two decimals' })
  time!: number;
}

const IS_REAL = {
  type: Boolean,
  description: 'With anti_spoofing only: whether the face is genuine',
} as const;
const ANTISPOOF_SCORE = {
  type: Number,
  minimum: 0,
  maximum: 1,
  description: 'With anti_spoofing only: mean softmax output for a genuine face',
} as const;

/** Fields of DeepFace's `extract_faces`. Its routes omit them for genuine faces. */
function spoofAnswer({ presentationAttack }: FaceDetection): { is_real?: boolean; antispoof_score?: number } {
  if (presentationAttack == null) return {};
  const { label, score } = presentationAttack;
  return { is_real: label === 'real', ...(score == null ? {} : { antispoof_score: round(score, 4) }) };
}

/** A face with its embedding. */
export class DeepfaceRepresentationDto {
  @ApiProperty({
    type: [Number],
    example: [0.41, -0.27, 0.13],
    description: 'Raw output of the network, not normalized',
  })
  embedding!: number[];

  @ApiProperty({ type: FacialAreaDto })
  facial_area!: FacialAreaDto;

  @ApiProperty({ example: 0.88, description: "Detector's score, two decimals; 0 for a whole image" })
  face_confidence!: number;

  @ApiPropertyOptional(IS_REAL)
  is_real?: boolean;

  @ApiPropertyOptional(ANTISPOOF_SCORE)
  antispoof_score?: number;

  static from(face: RepresentedFace, image: ImageSize, detector: NamedDetector): DeepfaceRepresentationDto {
    return {
      embedding: Array.from(face.embedding, (value) => value * face.embeddingNorm),
      facial_area: FacialAreaDto.from(face, image, detector),
      face_confidence: round(face.detectionScore, 2),
      ...spoofAnswer(face),
    };
  }
}

const PERCENT = { type: 'number', minimum: 0, maximum: 100 } as const;
const PERCENTS = (keys: readonly string[], description: string) =>
  ({
    type: 'object' as const,
    properties: Object.fromEntries(keys.map((key) => [key, PERCENT])),
    description,
  }) as const;

/** DeepFace's names of the expressions, in its order. */
const EMOTIONS = {
  angry: 'angry',
  disgust: 'disgusted',
  fear: 'fearful',
  happy: 'happy',
  sad: 'sad',
  surprise: 'surprised',
  neutral: 'neutral',
} as const satisfies Record<string, Expression>;

const RACES = ['asian', 'indian', 'black', 'white', 'middle eastern', 'latino hispanic'] as const;

/** A face with the requested attributes. */
export class DeepfaceAnalysisDto {
  @ApiPropertyOptional({ type: 'integer', example: 31, description: 'Estimated age in years' })
  age?: number;

  @ApiPropertyOptional({ ...PERCENTS(['Woman', 'Man'], 'Percent'), example: { Woman: 94, Man: 6 } })
  gender?: Record<string, number>;

  @ApiPropertyOptional({ enum: ['Woman', 'Man'], example: 'Woman' })
  dominant_gender?: string;

  @ApiPropertyOptional(PERCENTS(Object.keys(EMOTIONS), 'Percent'))
  emotion?: Record<string, number>;

  @ApiPropertyOptional({ enum: Object.keys(EMOTIONS), example: 'happy' })
  dominant_emotion?: string;

  @ApiPropertyOptional(PERCENTS(RACES, 'Percent. Classes of the training data, not facts about the person'))
  race?: Record<string, number>;

  @ApiPropertyOptional({ enum: RACES })
  dominant_race?: string;

  @ApiProperty({ type: FacialAreaDto })
  region!: FacialAreaDto;

  @ApiProperty({ example: 0.88, description: "Detector's score, two decimals; 0 for a whole image" })
  face_confidence!: number;

  @ApiPropertyOptional(IS_REAL)
  is_real?: boolean;

  @ApiPropertyOptional(ANTISPOOF_SCORE)
  antispoof_score?: number;

  static from(
    face: AnalyzedFace,
    actions: readonly Action[],
    image: ImageSize,
    detector: NamedDetector,
  ): DeepfaceAnalysisDto {
    return {
      ...Object.assign({}, ...actions.map((action) => actionAnswer(action, face))),
      region: FacialAreaDto.from(face, image, detector),
      face_confidence: round(face.detectionScore, 2),
      ...spoofAnswer(face),
    };
  }
}

/** Response of POST /register. */
export class DeepfaceRegisterAnswerDto {
  @ApiProperty({
    type: 'integer',
    example: 1,
    description: 'Number of faces added; faces of an image registered before are not added again',
  })
  inserted!: number;
}

/** A registered face that matches one in the image. */
export class DeepfaceMatchDto {
  @ApiProperty({ example: 'b2f1c0…', description: 'Value of the registered face' })
  id!: string;

  @ApiProperty({ example: 'ada.jpg', description: 'Value of the registered face' })
  img_name!: string;

  @ApiProperty({ example: EXAMPLE_EMBEDDER })
  model_name!: string;

  @ApiProperty({ example: EXAMPLE_DETECTOR })
  detector_backend!: string;

  @ApiProperty({ example: true })
  aligned!: boolean;

  @ApiProperty({ example: false })
  l2_normalized!: boolean;

  @ApiProperty({ enum: ['exact', 'ann'], example: 'exact' })
  search_method!: string;

  @ApiProperty({ type: 'integer', example: 38, description: 'Area of the face in the image of the request' })
  target_x!: number;

  @ApiProperty({ type: 'integer', example: 35 })
  target_y!: number;

  @ApiProperty({ type: 'integer', example: 77 })
  target_w!: number;

  @ApiProperty({ type: 'integer', example: 92 })
  target_h!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: EXAMPLE_THRESHOLD,
    description: 'null: no threshold for the metric',
  })
  threshold!: number | null;

  @ApiProperty({ enum: METRICS, example: 'cosine' })
  distance_metric!: Metric;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 0,
    description: 'Six decimals; null for keys without access to distances',
  })
  distance!: number | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 100,
    minimum: 0,
    maximum: 100,
    description: 'null for keys without access to distances',
  })
  confidence!: number | null;
}

/** Response of POST /build/index. */
export class DeepfaceIndexAnswerDto {
  @ApiProperty({ example: 'Index built successfully' })
  message!: string;
}

/** Fields of one requested action. */
function actionAnswer(action: Action, face: AnalyzedFace): Partial<DeepfaceAnalysisDto> {
  switch (action) {
    case 'age':
      return { age: Math.trunc(face.age as number) };
    case 'gender': {
      const { female, male } = face.genderScores as Record<Gender, number>;
      const gender = percents({ Woman: female, Man: male });
      return { gender, dominant_gender: dominant(gender) };
    }
    case 'emotion': {
      const scores = face.expressionScores as Record<Expression, number>;
      const emotion = percents(
        Object.fromEntries(Object.entries(EMOTIONS).map(([name, expression]) => [name, scores[expression]])),
      );
      return { emotion, dominant_emotion: dominant(emotion) };
    }
    case 'race': {
      const race = percents(face.raceScores as Record<string, number>);
      return { race, dominant_race: dominant(race) };
    }
  }
}

function percents(scores: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(scores).map(([name, score]) => [name, 100 * score]));
}

function dominant(scores: Readonly<Record<string, number>>): string {
  return Object.keys(scores).reduce((best, name) => (scores[name] > scores[best] ? name : best));
}

/** Clips a span to [0, size] and returns its start and length in whole pixels. */
function insideOf(start: number, length: number, size: number): [number, number] {
  const from = Math.min(Math.max(0, Math.round(start)), size);
  const to = Math.min(Math.max(from, Math.round(start + length)), size);
  return [from, to - from];
}

/** `null` outside of the image. */
function pixelOf({ x, y }: Point, { imageWidth, imageHeight }: ImageSize): number[] | null {
  const isInside = x >= 0 && y >= 0 && x < imageWidth && y < imageHeight;
  return isInside
    ? [Math.min(Math.round(x), imageWidth - 1), Math.min(Math.round(y), imageHeight - 1)]
    : null;
}
