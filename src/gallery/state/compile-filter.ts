import type { Metadata, MetadataFilter } from '../gallery.types';

/** `passesFilter` for a filter that many metadata are put to: what is the same for all is done once. */
export function compileFilter(filter: MetadataFilter): (metadata: Metadata) => boolean {
  const wanted = Object.entries(filter).map(([key, value]) => ({
    key,
    values: Array.isArray(value) ? (value as readonly Metadata[string][]) : [value as Metadata[string]],
  }));
  return (metadata) => {
    for (const { key, values } of wanted)
      if (!Object.hasOwn(metadata, key) || !values.includes(metadata[key])) return false;
    return true;
  };
}
