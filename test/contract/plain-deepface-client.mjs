/**
 * A client of DeepFace's API as its users write it, from DeepFace's README alone. It knows the base URL and nothing of what
 * answers there. Node and its own fetch, as Node is at hand wherever this project is built; it uses no package.
 *
 *   node plain-deepface-client.mjs http://localhost:5005
 *
 * It sends img1.jpg and img2.jpg of the current folder.
 */
import { readFile } from 'node:fs/promises';

const baseUrl = process.argv[2];
const token = process.env.DEEPFACE_AUTH_TOKEN;
const headers = token ? { Authorization: `Bearer ${token}` } : {};

async function post(route, body) {
  const isForm = body instanceof FormData;
  const response = await fetch(baseUrl + route, {
    method: 'POST',
    headers: isForm ? headers : { ...headers, 'Content-Type': 'application/json' },
    body: isForm ? body : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

const photos = await Promise.all(['img1.jpg', 'img2.jpg'].map((path) => readFile(path)));
const [img1, img2] = photos.map((photo) => `data:image/jpeg;base64,${photo.toString('base64')}`);

const verified = await post('/verify', { img1, img2, distance_metric: 'cosine' });

const form = new FormData();
form.append('img1', new Blob([photos[0]]), 'img1.jpg');
form.append('img2', new Blob([photos[1]]), 'img2.jpg');
const verifiedByForm = await post('/verify', form);

const represented = await post('/represent', { img: img1 });

const analyzed = await post('/analyze', { img: img1, actions: ['age', 'gender', 'emotion'] });

const registered = await post('/register', { img: img1, img_name: 'img1.jpg' });
const found = await post('/search', { img: img2 });
const indexed = await post('/build/index', {});
const foundByIndex = await post('/search', { img: img2, search_method: 'ann' });

console.log(
  JSON.stringify({
    verified: verified.verified,
    distance: verified.distance,
    verifiedByForm: verifiedByForm.verified,
    dimensions: represented.results.map((face) => face.embedding.length),
    faces: analyzed.results.map(({ age, dominant_gender, dominant_emotion }) => ({
      age,
      dominant_gender,
      dominant_emotion,
    })),
    inserted: registered.inserted,
    found: found.results.map((rows) => rows.map((row) => row.img_name)),
    indexed: indexed.message,
    foundByIndex: foundByIndex.results.map((rows) => rows.map((row) => row.img_name)),
  }),
);
