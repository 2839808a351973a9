import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../docs/plots/', import.meta.url);
const WIDTH = 640;
const HEIGHT = 300;

/** Distinct without hue as well: Okabe and Ito's palette. */
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000', '#999999'];

/**
 * Draws a chart into docs/plots.
 *
 * @param plot - { name, title, data } and what Vega-Lite takes beside: mark, encoding, layer.
 * @returns the chart as a picture of docs/benchmarks.md.
 */
export async function writePlot({ name, title, data, ...view }) {
  const { compile } = await library('vega-lite');
  const { parse, View } = await library('vega');
  const { spec } = compile({
    title: { text: title, anchor: 'start' },
    width: WIDTH,
    height: HEIGHT,
    // White, so that the black letters are read on a dark page as well.
    background: 'white',
    padding: 12,
    data: { values: data },
    config: {
      font: 'sans-serif',
      range: { category: COLORS },
      axis: { labelFontSize: 12, titleFontSize: 12 },
      legend: { orient: 'bottom', labelFontSize: 12, labelLimit: 400 },
      title: { fontSize: 14 },
    },
    ...view,
  });
  const svg = await new View(parse(spec), { renderer: 'none' }).toSVG();
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(fileURLToPath(new URL(`${name}.svg`, FOLDER)), `${svg}\n`);
  return `![${title}](plots/${name}.svg)`;
}

async function library(name) {
  try {
    return await import(name);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error('The charts need their own packages: npm ci --prefix bench', { cause: error });
  }
}
