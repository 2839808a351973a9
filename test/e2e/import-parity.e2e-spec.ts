import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURES } from '../../src/model-store/import/architectures';
import {
  type ImportOutcome,
  importModels,
  makeReferences,
  type Reference,
  type ReferenceOptions,
} from '../support/keras/reference';
import { tempFolders } from '../support/temp-folder';

/** Largest difference of any number that a network answers to what TensorFlow.js answers with the same weights. */
const TOLERANCE = 1e-4;

/** An answer below this is too faint for TOLERANCE to tell anything. */
const FAINTEST = 0.05;

/** Files of one network: as DeepFace's code names the layers, and with names that say nothing, inside a whole model. */
const OWN = { name: 'own.h5' } as const;
const NUMBERED = { name: 'numbered.h5', names: 'numbered', layout: 'model' } as const;

/** Networks made together, and files made of each; the four of VGG-Face have half a gigabyte each. */
const GROUPS: { networks: string[]; options: ReferenceOptions }[] = [
  { networks: ['facenet'], options: { batch: 2, files: [OWN] } },
  { networks: ['facenet512'], options: { files: [OWN, NUMBERED] } },
  { networks: ['arcface'], options: { files: [OWN, NUMBERED] } },
  { networks: ['openface'], options: { batch: 2, files: [OWN, NUMBERED] } },
  { networks: ['deepid'], options: { batch: 2, files: [OWN, NUMBERED] } },
  { networks: ['ghostfacenet'], options: { batch: 2, files: [OWN, NUMBERED] } },
  { networks: ['emotion'], options: { batch: 2, files: [OWN, NUMBERED] } },
  { networks: ['retinaface'], options: { files: [OWN, NUMBERED], options: { height: 96, width: 64 } } },
  { networks: ['vgg-face', 'age', 'gender', 'race'], options: { files: [OWN] } },
];

/** A file that is taken for another architecture, and the layer that gives it away. */
const MISTAKEN: Record<string, [as: string, layer: string]> = {
  facenet: ['facenet512', 'Bottleneck'],
  facenet512: ['facenet', 'Bottleneck'],
  arcface: ['ghostfacenet', 'conv1_conv'],
  openface: ['arcface', 'conv1'],
  deepid: ['openface', 'Conv1'],
  ghostfacenet: ['emotion', 'conv2d'],
  emotion: ['deepid', 'conv2d'],
  retinaface: ['facenet', 'bn_data'],
  'vgg-face': ['age', 'conv2d_15'],
  age: ['vgg-face', 'predictions'],
  gender: ['race', 'predictions'],
  race: ['gender', 'predictions'],
};

describe('import of networks built in TensorFlow.js', () => {
  jest.setTimeout(600_000);

  it('covers every architecture', () => {
    const covered = GROUPS.flatMap(({ networks }) => networks);
    expect(covered.sort()).toEqual(Object.keys(ARCHITECTURES).sort());
    expect(Object.keys(MISTAKEN).sort()).toEqual(covered);
  });

  describe.each(GROUPS)('$networks', ({ networks, options }) => {
    // Per group: the files of one are gone before those of the next are made.
    const root = tempFolders()();
    const files = options.files as { name: string }[];
    let references: Record<string, Reference>;
    let outcomes: Map<string, ImportOutcome>;
    let mistaken: Map<string, ImportOutcome>;

    beforeAll(async () => {
      const folders = Object.fromEntries(networks.map((network) => [network, join(root, network)]));
      Object.values(folders).forEach((folder) => mkdirSync(folder));
      references = await makeReferences(folders, options);
      const requests = networks.flatMap((network) =>
        files.map(({ name }) => ({
          architecture: network,
          file: join(folders[network], name),
          folder: join(root, name),
          reference: references[network],
        })),
      );
      const wrong = networks.map((network) => ({
        architecture: MISTAKEN[network][0],
        file: join(folders[network], files[0].name),
        folder: join(root, 'wrong'),
      }));
      const all = await importModels([...requests, ...wrong]);
      outcomes = new Map(requests.map(({ file }, i) => [file, all[i]]));
      mistaken = new Map(networks.map((network, i) => [network, all[requests.length + i]]));
    });

    describe.each(networks)('%s', (network) => {
      it.each(files)('answers as TensorFlow.js does, from $name', ({ name }) => {
        const { outputs } = references[network];
        for (const { largest } of outputs) expect(largest).toBeGreaterThan(FAINTEST);
        const outcome = outcomes.get(join(root, network, name));
        expect(outcome).not.toHaveProperty('error');
        const differences = outcome?.card == null ? [] : outcome.differences;
        expect(differences).toHaveLength(outputs.length);
        expect(Math.max(...differences)).toBeLessThanOrEqual(TOLERANCE);
      });

      it('is refused where it is taken for another architecture, naming the layer', () => {
        const [, layer] = MISTAKEN[network];
        const error = mistaken.get(network)?.error;
        expect(error?.code).toBe('MODEL_IMPORT_FAILED');
        expect(error?.message).toContain(`"${layer}"`);
        expect(error?.details).toEqual({ layer });
      });
    });
  });
});
