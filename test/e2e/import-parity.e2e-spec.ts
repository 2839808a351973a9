import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURES } from '../../src/model-tools/import/architectures';
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
  { networks: ['minifasnet-v2'], options: { batch: 2, files: [{ name: 'own.pth' }] } },
  { networks: ['minifasnet-v1-se'], options: { batch: 2, files: [{ name: 'own.pth' }] } },
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
  'minifasnet-v2': ['minifasnet-v1-se', 'conv_3.model.1.conv.conv.weight'],
  'minifasnet-v1-se': ['minifasnet-v2', 'conv_3.model.1.conv.conv.weight'],
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

  const root = tempFolders()();
  // Two at a time, the largest first: each is one process after the other, of one thread.
  const waiting = [...GROUPS].reverse();
  const results = new Map<string, GroupResult>();

  beforeAll(async () => {
    const lane = async () => {
      for (let group = waiting.shift(); group != null; group = waiting.shift())
        results.set(group.networks[0], await importGroup(root, group));
    };
    await Promise.all([lane(), lane()]);
  });

  describe.each(GROUPS)('$networks', ({ networks, options }) => {
    const files = options.files as { name: string }[];
    const result = () => results.get(networks[0]) as GroupResult;

    describe.each(networks)('%s', (network) => {
      it.each(files)('answers as TensorFlow.js does, from $name', ({ name }) => {
        const { outputs } = result().references[network];
        for (const { largest } of outputs) expect(largest).toBeGreaterThan(FAINTEST);
        const outcome = result().outcomes.get(`${network} ${name}`);
        expect(outcome).not.toHaveProperty('error');
        const differences = outcome?.card == null ? [] : outcome.differences;
        expect(differences).toHaveLength(outputs.length);
        expect(Math.max(...differences)).toBeLessThanOrEqual(TOLERANCE);
      });

      it('is refused where it is taken for another architecture, naming the layer', () => {
        const [, layer] = MISTAKEN[network];
        const error = result().mistaken.get(network)?.error;
        expect(error?.code).toBe('MODEL_IMPORT_FAILED');
        expect(error?.message).toContain(`"${layer}"`);
        expect(error?.details).toEqual({ layer });
      });
    });
  });
});

interface GroupResult {
  references: Record<string, Reference>;
  /** By network and file. */
  outcomes: Map<string, ImportOutcome>;
  /** Of each network, taken for another one. */
  mistaken: Map<string, ImportOutcome>;
}

/** Makes the files of a group, imports them, and removes them. */
async function importGroup(
  root: string,
  { networks, options }: (typeof GROUPS)[number],
): Promise<GroupResult> {
  const folder = join(root, networks[0]);
  const files = options.files as { name: string }[];
  const folders = Object.fromEntries(networks.map((network) => [network, join(folder, network)]));
  for (const path of Object.values(folders)) mkdirSync(path, { recursive: true });
  const references = await makeReferences(folders, options);
  const requests = networks.flatMap((network) =>
    files.map(({ name }) => ({
      architecture: network,
      file: join(folders[network], name),
      folder: join(folder, name),
      reference: references[network],
    })),
  );
  const wrong = networks.map((network) => ({
    architecture: MISTAKEN[network][0],
    file: join(folders[network], files[0].name),
    folder: join(folder, 'wrong'),
  }));
  const all = await importModels([...requests, ...wrong]);
  rmSync(folder, { recursive: true });
  const keys = networks.flatMap((network) => files.map(({ name }) => `${network} ${name}`));
  return {
    references,
    outcomes: new Map(keys.map((key, i) => [key, all[i]])),
    mistaken: new Map(networks.map((network, i) => [network, all[requests.length + i]])),
  };
}
