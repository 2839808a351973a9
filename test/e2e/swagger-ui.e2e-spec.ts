import type { Browser, Page } from 'playwright-core';
import { describeWithChromium, launchChromium } from '../support/chromium';
import { createApp, type TestApp } from '../support/create-app';

/** Width of the page; the height of an operation depends on it. */
const WIDTH = 1300;
const MAX_HEIGHT = 1500;

jest.setTimeout(240_000);
describeWithChromium('Swagger UI at /docs', () => {
  let service: TestApp;
  let browser: Browser;
  let page: Page;
  /** Errors of scripts, and what the content security policy refused. */
  const faults: string[] = [];

  beforeAll(async () => {
    service = await createApp();
    browser = await launchChromium();
    page = await browser.newPage({ viewport: { width: WIDTH, height: 1000 } });
    page.setDefaultTimeout(200_000);
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    // Every operation is expanded from the start: to click on each would take minutes.
    await page.route('**/swagger-ui-init.js', async (route) => {
      const response = await route.fetch();
      const text = await response.text();
      const body = text.replace('"customOptions": {', '"customOptions": { "docExpansion": "full",');
      expect(body).not.toBe(text);
      await route.fulfill({ response, body });
    });
    const { port } = service.app.getHttpServer().address() as { port: number };
    await page.goto(`http://127.0.0.1:${port}/docs`);
    // Those that are still loading have no responses.
    const isLoading = '.opblock:not(:has(.responses-inner))';
    await page.locator('.opblock').first().waitFor();
    await page.waitForFunction(`document.querySelector('${isLoading}') == null`);
  });
  afterAll(() => Promise.all([browser?.close(), service?.app.close()]));

  it('shows every operation, without errors', async () => {
    const { body } = await service.http.get('/openapi.json');
    const ids = Object.values(body.paths as Record<string, Record<string, { operationId: string }>>)
      .flatMap((methods) => Object.values(methods))
      .map(({ operationId }) => operationId);
    const shown = await page.$$eval('.opblock', (blocks) => blocks.map(({ id }) => id.split('-').at(-1)));
    expect(shown.sort()).toEqual(ids.sort());
    expect(await page.title()).toBe('Likeness API');
    expect(faults).toEqual([]);
  });

  it('shows no operation higher than a screen and a half', async () => {
    const heights = await page.$$eval('.opblock', (blocks) =>
      blocks.map((block) => ({ id: block.id, height: block.getBoundingClientRect().height })),
    );
    expect(heights.filter(({ height }) => height > MAX_HEIGHT)).toEqual([]);
    // All are expanded.
    expect(Math.min(...heights.map(({ height }) => height))).toBeGreaterThan(200);
  });

  it('sends nothing before a click on "Try it out", and then deletes nothing without an id', async () => {
    expect(await page.locator('.opblock .execute').count()).toBe(0);
    const deletion = page.locator('.opblock[id$="-deleteGallery"]');
    await deletion.getByRole('button', { name: 'Try it out' }).click();
    expect(await deletion.getByPlaceholder('galleryId').inputValue()).toBe('');
    await deletion.getByRole('button', { name: 'Execute' }).click();
    await deletion.locator('input.invalid').waitFor();
    await service.http.get('/v1/galleries/default').expect(200);
  });
});
