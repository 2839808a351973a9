import ipaddr from 'ipaddr.js';
import { delimiter } from 'node:path';
import { FaceError } from '../../errors';
import type { Auto } from '../../face/face.options';
import { CONFIG_VARIABLES, type ConfigVariable, type NameOf, type VariableName } from './config-variables';
import { ALL_FEATURES, type Feature, FEATURES, type Features } from './features';

/*
 * One reader for each type of variable. Every one throws FACE_OPTIONS_INVALID, which names the variable and never its value.
 */

export function readText(env: NodeJS.ProcessEnv, name: VariableName): string | undefined {
  const value = env[name]?.trim();
  const variable: ConfigVariable = CONFIG_VARIABLES[name];
  if (value === '' && variable.type === 'text' && variable.allowEmpty) return undefined;
  if (value === '') throw invalidVariable(name, 'must not be empty');
  return value;
}

type DefaultOf<Name extends VariableName> = (typeof CONFIG_VARIABLES)[Name]['default'];

export function readInteger<Name extends NameOf<'integer'>>(
  env: NodeJS.ProcessEnv,
  name: Name,
): number | Extract<DefaultOf<Name>, Auto> {
  const variable: ConfigVariable = CONFIG_VARIABLES[name];
  const [min, max] = variable.range as readonly [number, number];
  const value = readText(env, name);
  const takesAuto = variable.default === 'auto';
  if (value == null || (takesAuto && value === 'auto')) return variable.default as number;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw invalidVariable(name, `must be an integer in [${min}, ${max}]${takesAuto ? ', or auto' : ''}`);
}

export function readDecimal(env: NodeJS.ProcessEnv, name: NameOf<'decimal'>): number {
  const { default: byDefault, range } = CONFIG_VARIABLES[name];
  const [min, max] = range;
  const value = readText(env, name);
  if (value == null) return byDefault;
  const number = /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw invalidVariable(name, `must be a number in [${min}, ${max}]`);
}

export function readChoice<Name extends NameOf<'choice'>>(
  env: NodeJS.ProcessEnv,
  name: Name,
): (typeof CONFIG_VARIABLES)[Name]['choices'][number] {
  const { default: byDefault, choices } = CONFIG_VARIABLES[name];
  const value = readText(env, name) ?? byDefault;
  const known = choices.find((candidate) => candidate === value);
  if (known == null) throw invalidVariable(name, `must be one of ${choices.join(', ')}`);
  return known;
}

export function readSecret(env: NodeJS.ProcessEnv, name: NameOf<'secret'>): string | null {
  const value = env[name];
  if (value == null || value === '') return null;
  const problem = secretProblem(name, value);
  if (problem != null) throw invalidVariable(name, problem);
  return value;
}

/** Why a secret does not accept a value, as the end of a sentence; `null` where it does. */
export function secretProblem(name: NameOf<'secret'>, value: string): string | null {
  const [min, max] = CONFIG_VARIABLES[name].range;
  if (value.length >= min && value.length <= max && value === value.trim()) return null;
  return `must have ${min} to ${max} characters, and no spaces around them`;
}

/** A secret that clients send in a header: other characters would arrive changed, and every request would fail. */
export function readBearerToken(env: NodeJS.ProcessEnv, name: NameOf<'secret'>): string | null {
  const value = readSecret(env, name);
  if (value == null || /^[\x21-\x7e]+$/.test(value)) return value;
  throw invalidVariable(
    name,
    'must be ASCII characters without spaces, because clients send it in `Authorization: Bearer`',
  );
}

/** URL of a folder, with a slash at its end. */
export function readFolderUrl(env: NodeJS.ProcessEnv, name: NameOf<'url'>): string | null {
  const value = env[name]?.trim();
  if (value == null || value === '') return null;
  const url = URL.canParse(value) ? new URL(value) : null;
  const isPlain =
    url != null && ['username', 'password', 'search', 'hash'].every((part) => url[part as 'hash'] === '');
  if (url == null || !isPlain || !['http:', 'https:'].includes(url.protocol)) {
    throw invalidVariable(name, 'must be an http or https URL without user, password, query and fragment');
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

/** `name=milliseconds` pairs, separated by commas. */
export function readDurations(env: NodeJS.ProcessEnv, name: NameOf<'durations'>): Record<string, number> {
  const [min, max] = CONFIG_VARIABLES[name].range;
  return readPairs(env, name, (text) => {
    const ms = /^\d+$/.test(text) ? Number(text) : NaN;
    if (ms >= min && ms <= max) return ms;
    throw invalidVariable(name, `must be name=milliseconds, separated by commas, each in [${min}, ${max}]`);
  });
}

/** `name=other` pairs, separated by commas. */
export function readAliases(env: NodeJS.ProcessEnv, name: NameOf<'names'>): Record<string, string> {
  return readPairs(env, name, (text) => {
    if (text !== '') return text;
    throw invalidVariable(name, 'must be name=card, separated by commas');
  });
}

/** Pairs, their right side converted by `toValue`, which gets an empty text for a malformed pair. */
function readPairs<T>(
  env: NodeJS.ProcessEnv,
  name: NameOf<'durations' | 'names'>,
  toValue: (text: string) => T,
): Record<string, T> {
  if ((env[name] ?? '').trim() === '') return {};
  return Object.fromEntries(
    (env[name] as string).split(',').map((text) => {
      const pair = /^\s*([^\s=]+)=([^\s=]+)\s*$/.exec(text);
      return [pair?.[1] ?? '', toValue(pair?.[2] ?? '')];
    }),
  );
}

/** Host names in lower case, `*.` before them or alone as wildcard. */
export function readHosts(env: NodeJS.ProcessEnv, name: NameOf<'hosts'>): string[] {
  return readList(env, name).map((host) => {
    if (/^(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*)$/i.test(host)) return host.toLowerCase();
    throw invalidVariable(name, 'must be host names without scheme and port, separated by commas');
  });
}

/** Origins as browsers write them. */
export function readOrigins(env: NodeJS.ProcessEnv, name: NameOf<'origins'>): string[] {
  return readList(env, name).map((text) => {
    const url = URL.canParse(text) ? new URL(text) : null;
    // No browser sends an origin with a path, or `*`.
    if (url != null && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href) return url.origin;
    throw invalidVariable(name, 'must be http or https origins without path, separated by commas');
  });
}

/** IP addresses and CIDR blocks. A block of all addresses is refused: with it every caller could choose its address. */
export function readNetworks(env: NodeJS.ProcessEnv, name: NameOf<'networks'>): string[] {
  return readList(env, name).map((text) => {
    const isNetwork = text.includes('/')
      ? ipaddr.isValidCIDR(text) && !/\/0+$/.test(text)
      : ipaddr.isValid(text);
    // Excludes `10.1` and `0x0a.1`, which are addresses too.
    if (isNetwork && /^(\d+\.\d+\.\d+\.\d+|[\da-f:.]*:[\da-f:.]*)(\/\d+)?$/i.test(text)) return text;
    throw invalidVariable(name, 'must be addresses or CIDR blocks smaller than /0, separated by commas');
  });
}

export function readList(
  env: NodeJS.ProcessEnv,
  name: NameOf<'list' | 'folders' | 'hosts' | 'origins' | 'networks'>,
): string[] {
  const variable: ConfigVariable = CONFIG_VARIABLES[name];
  const separator = variable.type === 'folders' ? delimiter : ',';
  if (variable.allowEmpty && env[name]?.trim() === '') return [];
  const items = readText(env, name)
    ?.split(separator)
    .map((item) => item.trim());
  if (items?.includes(''))
    throw invalidVariable(name, `must not contain an empty item between separators ("${separator}")`);
  return items ?? [...CONFIG_VARIABLES[name].default];
}

export function readFeatures(env: NodeJS.ProcessEnv, name: NameOf<'features'>): Features {
  const names = readText(env, name)
    ?.split(',')
    .map((item) => item.trim());
  if (names == null) return ALL_FEATURES;
  const isLess = names.every((item) => item.startsWith('-'));
  const named = isLess ? names.map((item) => item.slice(1)) : names;
  if (named.some((item) => !Object.hasOwn(FEATURES, item))) {
    const known = [...ALL_FEATURES].join(', ');
    throw invalidVariable(
      name,
      `must be a list of capabilities (${known}), separated by commas, with a minus before all of them or none`,
    );
  }
  const features = new Set(
    isLess ? [...ALL_FEATURES].filter((feature) => !named.includes(feature)) : (named as Feature[]),
  );
  if (features.has('identify') && !features.has('galleries')) {
    throw invalidVariable(name, 'must include galleries, which identify needs');
  }
  return features;
}

export function invalidVariable(variable: string, problem: string): FaceError {
  return new FaceError('FACE_OPTIONS_INVALID', `Environment variable ${variable} ${problem}.`, { variable });
}
