import { Injectable } from '@nestjs/common';
import type { RepresentCallOptions } from '../../face/face-model';
import { RepresentationService } from '../../face/representation.service';
import { ErrorDto } from '../http/errors/error.dto';
import { logServerError, toFaceError } from '../http/errors/to-face-error';
import {
  RepresentationDto,
  type RepresentListResponseDto,
  type RepresentResponseDto,
} from './representation.dto';

/** Represents one image or a list of them. */
@Injectable()
export class RepresentationListService {
  constructor(private readonly representation: RepresentationService) {}

  /**
   * Represents the images of a list in parallel.
   *
   * @returns the faces of one image; for a list a result or an error for each.
   * @throws {FaceError} the error of one image; for a list, errors of the whole request.
   */
  async represent(
    image: Uint8Array | Uint8Array[],
    options: RepresentCallOptions,
    requestId: string,
  ): Promise<RepresentResponseDto | RepresentListResponseDto> {
    const represent = async (bytes: Uint8Array) =>
      RepresentationDto.from(await this.representation.represent(bytes, options));

    if (!Array.isArray(image)) return { ...(await represent(image)), requestId };
    const results = await Promise.all(
      image.map(async (bytes, index) => {
        try {
          return { index, ...(await represent(bytes)) };
        } catch (error) {
          return { index, error: itemError(error, index, requestId) };
        }
      }),
    );
    return { results, requestId };
  }
}

/**
 * Converts the error of one image. Rethrows errors of the whole request, such as an invalid parameter, which would fail
 * every image.
 */
function itemError(thrown: unknown, index: number, requestId: string): ErrorDto {
  const error = toFaceError(thrown);
  if (error.status === 400 || error.status === 409) throw error;
  logServerError(error, requestId);
  return ErrorDto.from(error.withDetails({ field: 'image', index, ...error.details }));
}
