import express from 'express';
import { readdirSync } from 'node:fs';
import request from 'supertest';
import { PAGE_FOLDER, serveConsole } from '../../src/server/console/console';
import { createApp, type TestApp } from '../support/create-app';
import { writeKeyFile } from '../support/key-file';
import { tempFolders } from '../support/temp-folder';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
const POLICY =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self' blob: data:;connect-src 'self';base-uri 'none';" +
  "form-action 'none';frame-ancestors 'none';require-trusted-types-for 'script';trusted-types 'none'";

describe('the files of the console', () => {
  const makeFolder = tempFolders();
  let service: TestApp;
  beforeAll(async () => {
    // Everything else needs a key, which no request here has.
    const { file } = writeKeyFile(makeFolder(), { all: { scopes: ['verify'] } });
    service = await createApp({ FACE_API_KEYS_FILE: file, FACE_FEATURES: 'verify' });
  });
  afterAll(() => service.app.close());

  it.each([['/console'], ['/CONSOLE'], ['/']])('are opened by a browser at %s', async (path) => {
    const { text, headers } = await service.http.get(path).set('accept', BROWSER).expect(200);
    expect(text).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': POLICY,
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
    });
  });

  it.each(readdirSync(PAGE_FOLDER))(
    'include %s, with its type, checked by the browser each time',
    async (name) => {
      const { headers } = await service.http.get(`/console/${name}`).expect(200);
      expect(headers['content-type']).toMatch(
        /^(text\/(html|css|javascript)|application\/json|image\/svg\+xml)/,
      );
      expect(headers['content-security-policy']).toBe(POLICY);
      await service.http.get(`/console/${name}`).set('if-none-match', headers.etag).expect(304);
      const head = await service.http.head(`/console/${name}`).expect(200);
      expect(head.headers['content-length']).toBe(headers['content-length']);
    },
  );

  it('say which features are on', async () => {
    const { body } = await service.http.get('/console/features.json').expect(200);
    expect(body).toEqual({ features: ['verify'] });
  });

  it.each([
    ['/console/none.mjs'],
    ['/console/..%2fconsole.js'],
    ['/console/../../package.json'],
    ['/console/page/app.mjs'],
    ['/console/__proto__'],
  ])('are no way to %s', async (path) => {
    await service.http.get(path).expect(401);
  });

  it('are not at / for clients that are no browsers', async () => {
    await service.http.get('/').expect(404);
    await service.http.get('/').set('accept', 'application/json').expect(404);
  });

  it('are under the rules of access', async () => {
    const { body } = await service.http.get('/console').set('host', 'attacker.example').expect(421);
    expect(body.error.code).toBe('HOST_NOT_ALLOWED');
    await service.http.post('/console').expect(401);
  });
});

describe('GET / beside the DeepFace API', () => {
  let service: TestApp;
  beforeAll(async () => (service = await createApp()));
  afterAll(() => service.app.close());

  it('answers browsers with the console and others as DeepFace does', async () => {
    const page = await service.http.get('/').set('accept', BROWSER).expect(200);
    expect(page.text).toContain('<title>Likeness</title>');
    expect(page.headers.vary).toContain('Accept');
    for (const accept of ['*/*', 'application/json']) {
      const welcome = await service.http.get('/').set('accept', accept).expect(200);
      expect(welcome.text).toContain('Welcome to DeepFace API');
      expect(welcome.headers.vary).toContain('Accept');
    }
  });
});

describe('the console under a prefix', () => {
  const app = express().use('/a/faces', serveConsole({ features: new Set() }) as express.RequestHandler);
  const http = request(app);

  it.each([
    ['/a/faces', 'faces/'],
    ['/a/faces/console/', '../console'],
  ])('leads %s to where its relative links hold', async (path, location) => {
    const { headers } = await http.get(path).set('accept', BROWSER).expect(302);
    expect(headers.location).toBe(location);
  });

  it.each(['/a/faces/', '/a/faces/console', '/a/faces/console/app.mjs'])('answers %s', async (path) => {
    await http.get(path).set('accept', BROWSER).expect(200);
  });
});
