import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getMetadataStorage } from 'class-validator';
import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants';
import { rootDir } from '../support/paths';
import { COMPATIBILITY_ROUTES } from './compatibility';
import { countCalls } from './deepface-calls';
import { ImageFieldsOf } from '../../src/server/http/images/image-body.interceptor';
import { DEEPFACE_CONTROLLERS } from '../../src/server/deepface/deepface.controller';
import { DEEPFACE_ROUTES } from '../../src/server/deepface/dialect';

const routes = Object.values(DEEPFACE_CONTROLLERS).flatMap(({ prototype }) =>
  Object.getOwnPropertyNames(prototype)
    .map((name) => ({ prototype, name, handler: (prototype as unknown as Record<string, object>)[name] }))
    .filter(({ handler }) => Reflect.getMetadata(METHOD_METADATA, handler) === RequestMethod.POST),
);
const handlers = routes.map(({ handler }) => handler);
const pathOf = (handler: object): string => Reflect.getMetadata(PATH_METADATA, handler);

describe('the table of compatibility', () => {
  it('has the routes of the controller', () => {
    expect(Object.keys(COMPATIBILITY_ROUTES)).toEqual(Object.keys(DEEPFACE_ROUTES));
    expect(handlers.map(pathOf)).toEqual(Object.keys(DEEPFACE_ROUTES));
  });

  it.each(Object.entries(COMPATIBILITY_ROUTES))('has the fields of %s', (route, { images, dto, fields }) => {
    const handler = handlers.find((one) => pathOf(one) === route) as object;
    expect(Reflect.getMetadata(ImageFieldsOf.KEY, handler).fields).toEqual(images);
    const rules = getMetadataStorage().getTargetValidationMetadatas(dto, '', false, false);
    const names = [...new Set(rules.map(({ propertyName }) => propertyName))];
    expect(Object.keys(fields).sort()).toEqual(names.sort());
  });

  it.each(Object.entries(COMPATIBILITY_ROUTES))('has the defaults of %s', (_route, { dto, fields }) => {
    const defaults = new dto() as Record<string, unknown>;
    for (const [name, { deepface, here = deepface }] of Object.entries(fields)) {
      const value = /^`([^`]*)`$/.exec(here)?.[1];
      expect([name, defaults[name] === undefined ? undefined : String(defaults[name])]).toEqual([
        name,
        value,
      ]);
    }
  });

  it('counts the calls that work', () => {
    const { working, all } = countCalls();
    const text = readFileSync(join(rootDir, 'docs', 'compatibility.md'), 'utf8');
    expect(text).toContain(`${working} of ${all} calls work`);
  });

  it('documents the DTO that the route takes', () => {
    for (const { prototype, name, handler } of routes) {
      const types = Reflect.getMetadata('design:paramtypes', prototype, name) as unknown[];
      const { dto } = COMPATIBILITY_ROUTES[pathOf(handler) as keyof typeof COMPATIBILITY_ROUTES];
      expect(types).toContain(dto);
    }
  });
});
