import { EXPRESSIONS, type Landmarks, METRICS } from '../pipeline/face.types';
import { FakeFaceModel } from './fake-face-model';

const image = Buffer.from('an image');
const other = Buffer.from('another image');
const people = (...names: string[]) => ({ faces: names.map((person) => ({ person })) });

describe(FakeFaceModel.name, () => {
  let model: FakeFaceModel;
  beforeEach(() => (model = new FakeFaceModel()));

  it.each(['detect', 'represent', 'analyze'] as const)(
    '%s refuses an image that was not announced',
    async (task) => {
      model.addImage(image, people('alice'));
      await expect(model[task](other)).rejects.toThrow('addImage');
    },
  );

  it('knows an image by its bytes, not by the object', async () => {
    model.addImage(image, people('alice'));
    expect((await model.detect(Uint8Array.from(image))).faceCount).toBe(1);
  });

  it('takes the last announcement of an image', async () => {
    model.addImage(image, people('alice')).addImage(image, people('alice', 'bob'));
    expect((await model.detect(image)).faceCount).toBe(2);
  });

  it('gives sizes of 640 x 480 by default, and an empty list without faces', async () => {
    model.addImage(image, people()).addImage(other, { ...people(), imageWidth: 30, imageHeight: 40 });
    expect(await model.detect(image)).toMatchObject({
      imageWidth: 640,
      imageHeight: 480,
      faceCount: 0,
      faces: [],
    });
    expect(await model.represent(other)).toMatchObject({ imageWidth: 30, imageHeight: 40, faces: [] });
  });

  it('takes the whole image for the face as it is asked to', async () => {
    model.addImage(image, people('alice', 'bob')).addImage(other, people());
    const whole = {
      box: { x: 0, y: 0, width: 640, height: 480 },
      landmarks: null,
      detectionScore: 0,
      alignmentScore: null,
    };
    const always = await model.represent(image, { wholeImage: 'always', quality: true, detector: 'none' });
    expect(always).toMatchObject({ faceCount: 0, faces: [whole] });
    expect(always.faces[0]).not.toHaveProperty('quality');
    expect(always.faces[0].embedding).toEqual((await model.represent(image)).faces[0].embedding);
    expect(await model.detect(image, { wholeImage: 'ifNoFace' })).toMatchObject({ faceCount: 2 });
    expect((await model.detect(other, { wholeImage: 'ifNoFace' })).faces).toEqual([whole]);
    expect((await model.detect(other, { wholeImage: 'never' })).faces).toEqual([]);
  });

  it('embeds no face that is not aligned, and counts those', async () => {
    const bob = { person: 'bob', aligned: false };
    model.addImage(image, { faces: [{ person: 'alice', alignmentScore: 0.7 }, bob] });
    model.addImage(other, { faces: [bob] });
    const found = await model.detect(image);
    expect(found).toMatchObject({ faceCount: 2, unalignedCount: 0 });
    expect(found.faces.map(({ alignmentScore }) => alignmentScore)).toEqual([0.7, 0.01]);
    const represented = await model.represent(image);
    expect(represented).toMatchObject({ faceCount: 2, unalignedCount: 1, faces: [{ alignmentScore: 0.7 }] });
    expect(represented.faces).toHaveLength(1);
    expect(await model.represent(image, { faceSelection: 'best' })).toMatchObject({ unalignedCount: 0 });
    expect(await model.represent(other)).toMatchObject({ unalignedCount: 1, faces: [] });
    const whole = await model.represent(other, { wholeImage: 'ifNoFace' });
    expect(whole).toMatchObject({ unalignedCount: 1, faces: [{ landmarks: null }] });
    expect((await model.analyze(other)).faces).toHaveLength(1);
  });

  it('turns an image upright where it may', async () => {
    model.addImage(image, { ...people('alice'), rotation: 270 });
    expect(await model.represent(image)).toMatchObject({ rotation: 270, unalignedCount: 0, faces: [{}] });
    const asItIs = await model.represent(image, { autoRotate: false });
    expect(asItIs).toMatchObject({ rotation: 0, unalignedCount: 1, faces: [] });
    expect(await model.represent(image, { wholeImage: 'always' })).toMatchObject({ rotation: 0 });
  });

  it('gives the attributes that are asked for, and another contract without alignment', async () => {
    model.addImage(image, people('alice'));
    const [face] = (await model.analyze(image, { attributes: ['race', 'age'] })).faces;
    const detection = ['box', 'landmarks', 'detectionScore', 'alignmentScore'];
    expect(Object.keys(face)).toEqual([...detection, 'age', 'race', 'raceScores']);
    expect(model.embedder(undefined, false).contract).not.toBe(model.embedder().contract);
  });

  it('gives exactly the fields of each task, and never the name of the person', async () => {
    model.addImage(image, people('alice'));
    const detection = ['alignmentScore', 'box', 'detectionScore', 'landmarks'];
    const fields = async (task: 'detect' | 'represent' | 'analyze') =>
      Object.keys((await model[task](image)).faces[0]).sort();
    expect(await fields('detect')).toEqual(detection);
    expect(await fields('represent')).toEqual([...detection, 'embedding', 'embeddingNorm'].sort());
    const attributes = [
      'age',
      'gender',
      'genderScores',
      'expression',
      'expressionScores',
      'race',
      'raceScores',
    ];
    expect(await fields('analyze')).toEqual([...detection, ...attributes].sort());
  });

  it('gives the quality of faces on request, sharp and well lit by default', async () => {
    model.addImage(image, {
      faces: [{ person: 'alice' }, { person: 'bob', quality: { sharpness: 3 } }],
    });
    const { faces } = await model.represent(image, { quality: true });
    expect(faces.map(({ quality }) => quality)).toEqual([
      { sharpness: 200, brightness: 0.5 },
      { sharpness: 3, brightness: 0.5 },
    ]);
    expect((await model.analyze(image)).faces[1]).not.toHaveProperty('quality');
  });

  it('makes the first face the largest, with its landmarks inside its box', async () => {
    model.addImage(image, people('alice', 'bob', 'carol'));
    const { faces } = await model.detect(image);
    const areas = faces.map(({ box }) => box.width * box.height);
    expect(areas).toEqual([...areas].sort((a, b) => b - a));
    expect(new Set(areas).size).toBe(3);
    for (const { box, landmarks: found } of faces) {
      const landmarks = found as Landmarks;
      for (const { x, y } of landmarks) {
        expect(x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height).toBe(true);
      }
      // Eyes above the nose above the mouth, image-left first.
      const [leftEye, rightEye, nose, leftMouth, rightMouth] = landmarks;
      expect([leftEye.x < rightEye.x, leftMouth.x < rightMouth.x]).toEqual([true, true]);
      expect([rightEye.y < nose.y, nose.y < leftMouth.y]).toEqual([true, true]);
    }
  });

  it('takes the announced values of a face, and makes up the others', async () => {
    const box = { x: 1, y: 2, width: 30, height: 40 };
    model.addImage(image, {
      faces: [{ person: 'alice', box, age: 7, expression: 'sad', detectionScore: 0.4 }],
    });
    const [face] = (await model.analyze(image)).faces;
    expect(face).toMatchObject({ box, age: 7, expression: 'sad', detectionScore: 0.4 });
    expect(face.landmarks).toHaveLength(5);
    expect(Object.keys(face.expressionScores ?? {})).toEqual([...EXPRESSIONS]);
  });

  it('gives one person one unit vector everywhere, and different persons vectors far apart', async () => {
    const persons = Array.from({ length: 30 }, (_, i) => `person ${i}`);
    model.addImage(image, people(...persons)).addImage(other, people(persons[3]));
    const { faces } = await model.represent(image);
    const again = (await new FakeFaceModel().addImage(other, people(persons[3])).represent(other)).faces[0];
    expect(again.embedding).toEqual(faces[3].embedding);
    const { dimensions, maxDistances } = model.embedder();
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    faces.forEach(({ embedding, embeddingNorm }, i) => {
      expect(embedding).toHaveLength(dimensions);
      expect(embeddingNorm).toBe(1);
      expect(dot(embedding, embedding)).toBeCloseTo(1, 5);
      for (const { embedding: stranger } of faces.slice(i + 1)) {
        expect(1 - dot(embedding, stranger)).toBeGreaterThan(maxDistances.cosine as number);
      }
    });
  });

  it('has a threshold for every metric', () => {
    expect(Object.keys(model.embedder().maxDistances).sort()).toEqual([...METRICS].sort());
  });

  it('selects as the real model does, after counting all', async () => {
    const box = (side: number) => ({ x: 300, y: 220, width: side, height: side });
    model.addImage(image, {
      faces: [
        { person: 'small', box: box(20) },
        { person: 'large', box: box(60) },
        { person: 'medium', box: box(40) },
      ],
    });
    const widths = async (options: Parameters<FakeFaceModel['detect']>[1]) => {
      const { faces, faceCount } = await model.detect(image, options);
      expect(faceCount).toBe(3);
      return faces.map((face) => face.box.width);
    };
    expect(await widths({})).toEqual([60, 40, 20]);
    expect(await widths({ maxFaces: 2 })).toEqual([60, 40]);
    expect(await widths({ minFaceSize: 40 })).toEqual([60, 40]);
    expect(await widths({ faceSelection: 'best' })).toEqual([60]);
    expect(await widths({ faceSelection: 'single', minFaceSize: 41 })).toEqual([60]);
    await expect(model.detect(image, { faceSelection: 'single' })).rejects.toMatchObject({
      code: 'FACE_AMBIGUOUS',
      details: { faceCount: 3 },
    });
  });

  it('takes its own names and no others', async () => {
    model.addImage(image, people('alice'));
    const { defaultDetector: detector, defaultEmbedder: embedder } = model;
    expect((await model.represent(image, { detector, embedder })).faces).toHaveLength(1);
    for (const task of ['detect', 'represent', 'analyze'] as const) {
      await expect(model[task](image, { detector: embedder })).rejects.toMatchObject({
        code: 'MODEL_UNKNOWN',
        details: { field: 'detector', available: [detector] },
      });
    }
    await expect(model.represent(image, { embedder: detector })).rejects.toMatchObject({
      code: 'MODEL_UNKNOWN',
      details: { field: 'embedder', available: [embedder] },
    });
    expect(() => model.embedder('sface')).toThrow(expect.objectContaining({ code: 'MODEL_UNKNOWN' }));
    expect(model.embedder().name).toBe(embedder);
  });

  it('lists the models it stands for as loaded', () => {
    expect(model.models().map(({ name, task, state }) => [name, task, state])).toEqual([
      [model.defaultDetector, 'detect', 'loaded'],
      [model.defaultEmbedder, 'embed', 'loaded'],
      ['fake-attributes', 'age-gender', 'loaded'],
      ['fake-attack', 'presentation-attack', 'loaded'],
    ]);
    expect(model.models()[1].embedder).toEqual(model.embedder());
  });

  it('is ready until it is closed', async () => {
    expect(model.readiness()).toEqual({ ready: true });
    await model.close();
    expect(model.readiness()).toMatchObject({ ready: false, reason: expect.any(String) });
  });
});
