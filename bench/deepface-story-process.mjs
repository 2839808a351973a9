import { createServer } from 'node:http';
import { openPipeline, openPlain } from './models.mjs';

/*
 * Child process of the scenario deepface-story: a web API that builds its models for each request, as a handler does that
 * calls a library with the model's name. Arguments: models as JSON. Answers POST /verify as DeepFace does, in short; writes
 * its port.
 */

const { compareEmbeddings } = await import('../dist/pipeline/embed/compare-embeddings.js').then(
  (m) => m.default,
);
const models = JSON.parse(process.argv[2]);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { img1, img2 } = JSON.parse(Buffer.concat(chunks));
  const pipeline = await openPipeline(models, openPlain);
  const faces = [];
  for (const image of [img1, img2]) {
    const bytes = Buffer.from(image.slice(image.indexOf(',') + 1), 'base64');
    faces.push((await pipeline.represent(bytes)).faces[0]);
  }
  // A kind handler: what it built is given back at once, not when the garbage collector comes by.
  await pipeline.release();
  const [a, b] = faces.map(({ embedding, embeddingNorm }) => ({ embedding, norm: embeddingNorm }));
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ distance: compareEmbeddings(a, b, 'cosine').distance }));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
