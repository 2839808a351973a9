import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sampleCalibration } from '../../test/support/sample-calibration';
import { embeddingContract } from './embedding-contract';
import { type CardEmbedding, type ModelCard, parseModelCard } from './model-card';

const cards = join(__dirname, '..', '..', 'models', 'cards');
const read = (file: string) => parseModelCard(JSON.parse(readFileSync(join(cards, file), 'utf8')), file);
const base = () => read('sface.json') as ModelCard & { embedding: CardEmbedding };

describe(embeddingContract.name, () => {
  it('is 12 hexadecimal digits, and the same each time', () => {
    expect(embeddingContract(base())).toMatch(/^[0-9a-f]{12}$/);
    expect(embeddingContract(base())).toBe(embeddingContract(base()));
  });

  it('tells all embedders that come with the package apart', () => {
    const embedders = readdirSync(cards)
      .map(read)
      .filter(({ task }) => task === 'embed');
    expect(embedders.length).toBeGreaterThan(2);
    expect(new Set(embedders.map((card) => embeddingContract(card))).size).toBe(embedders.length);
  });

  it.each<[string, (card: ModelCard & { embedding: CardEmbedding }) => void]>([
    ['the weights', (card) => (card.sha256 = '0'.repeat(64))],
    ['the family, and so the alignment', (card) => (card.family = 'dlib-150')],
    ['the width', (card) => (card.input.width = 96)],
    ['the height', (card) => (card.input.height = 96)],
    ['the color order', (card) => (card.input.colorOrder = card.input.colorOrder === 'RGB' ? 'BGR' : 'RGB')],
    ['a mean', (card) => (card.input.mean[2] += 1)],
    ['a standard deviation', (card) => (card.input.std[0] *= 2)],
    ['the family of another peer', (card) => (card.family = 'upright-crop')],
    ['standardising each image', (card) => (card.input.standardize = 'image')],
    ['the channels', (card) => (card.input.channels = 1)],
    ['the dimensions', (card) => (card.embedding.dimensions *= 2)],
    ['the mirror average', (card) => (card.embedding.mirrorAverage = !card.embedding.mirrorAverage)],
  ])('changes with %s', (_, change) => {
    const card = base();
    change(card);
    expect(embeddingContract(card)).not.toBe(embeddingContract(base()));
  });

  it('is another for faces that were not aligned, by each family its own', () => {
    const other = { ...base(), family: 'upright-crop' };
    const contracts = [base(), other].flatMap((card) => [
      embeddingContract(card, true),
      embeddingContract(card, false),
    ]);
    expect(new Set(contracts).size).toBe(4);
    expect(embeddingContract(base(), true)).toBe(embeddingContract(base()));
  });

  it('stays what it was before cards had channels and standardize', () => {
    expect(embeddingContract(read('face-resnet-128.json'))).toBe('924e43b94eda');
    expect(embeddingContract({ ...base(), input: { ...base().input, channels: 3 } })).toBe(
      embeddingContract(base()),
    );
  });

  it('tells the same numbers in other fields apart', () => {
    const swap = (mean: ModelCard['input']['mean'], std: ModelCard['input']['std']) => {
      const card = base();
      return embeddingContract({ ...card, input: { ...card.input, mean, std } });
    };
    const contracts = [
      swap([1, 2, 3], [4, 5, 6]),
      swap([4, 5, 6], [1, 2, 3]),
      swap([3, 2, 1], [4, 5, 6]),
      swap([1, 23, 4], [5, 6, 1]),
      swap([12, 3, 4], [5, 6, 1]),
    ];
    expect(new Set(contracts).size).toBe(contracts.length);
  });

  it.each<[string, (card: ModelCard & { embedding: CardEmbedding }) => void]>([
    ['the name', (card) => (card.name = 'other')],
    ['the title', (card) => (card.title = 'Other')],
    ['the file name', (card) => (card.file = 'other.onnx')],
    ['the size of the file', (card) => (card.bytes = 1)],
    ['where it comes from', (card) => (card.source = 'elsewhere')],
    ['the license', (card) => (card.license = { name: 'Other', commercialUse: false })],
    ['a threshold', (card) => (card.embedding.thresholds = { cosine: { maxDistance: 0.9, source: 'x' } })],
    ['a calibration', (card) => (card.embedding.calibration = sampleCalibration())],
    ['the largest batch', (card) => (card.input.maxBatch += 1)],
    ['the names of the outputs', (card) => (card.outputs[0].name = 'other')],
    [
      'the order in which the card is written',
      (card) => (card.input = Object.fromEntries(Object.entries(card.input).reverse()) as never),
    ],
  ])('stays with %s', (_, change) => {
    const card = base();
    change(card);
    expect(embeddingContract(card)).toBe(embeddingContract(base()));
  });
});
