import { Injectable } from '@nestjs/common';
import { FaceError } from '../../errors';
import { embeddingDistances } from '../../face/embedding-distances';
import { type EmbedderInfo, FaceModel } from '../../face/face-model';
import { assertEmbedding, type NormedEmbedding } from '../../pipeline/embed/compare-embeddings';
import { invalidParameters } from '../http/request/validation';
import { type DistancesDto, type DistancesResponseDto, MAX_PAIRS } from './distances.dto';

/** Distances between lists of embeddings. */
@Injectable()
export class DistancesService {
  constructor(private readonly model: FaceModel) {}

  /**
   * Compares every probe with every reference.
   *
   * @throws {FaceError} PARAMETER_INVALID for more than {@link MAX_PAIRS} pairs; EMBEDDING_INVALID with `details.field` and
   * `details.index`; EMBEDDING_CONTRACT_MISMATCH where no loaded embedder has the contract.
   */
  async compareAll({
    probes,
    references,
    contract,
    metric,
  }: DistancesDto): Promise<Omit<DistancesResponseDto, 'requestId'>> {
    if (probes.length * references.length > MAX_PAIRS) {
      throw invalidParameters({ probes: `multiplied by references must be at most ${MAX_PAIRS}` });
    }
    const { name: embedder, dimensions } = this.embedderOf(contract);
    const result = await embeddingDistances(
      normed(probes, 'probes', dimensions),
      normed(references, 'references', dimensions),
      metric,
    );
    return { ...result, metric, embedder, contract };
  }

  private embedderOf(contract: string): EmbedderInfo {
    for (const { state, embedder } of this.model.models()) {
      if (state !== 'loaded' || embedder == null) continue;
      if (embedder.contract === contract) return embedder;
      const unaligned = this.model.embedder(embedder.name, false);
      if (unaligned.contract === contract) return unaligned;
    }
    throw new FaceError('EMBEDDING_CONTRACT_MISMATCH', 'No loaded embedder has this contract.', {
      field: 'contract',
    });
  }
}

function normed(embeddings: readonly number[][], field: string, dimensions: number): NormedEmbedding[] {
  return embeddings.map((values, index) => {
    try {
      const { unit, norm } = assertEmbedding(values, dimensions);
      return { embedding: unit, norm };
    } catch (error) {
      throw error instanceof FaceError ? error.withDetails({ field, index }) : error;
    }
  });
}
