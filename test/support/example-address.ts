/** Values of path parameters: what exists after a start, or can be created. */
const VALUES: Readonly<Record<string, string>> = {
  galleryId: 'default',
  subjectId: 'ada',
  referenceId: '0d9c7a52-6a1d-4b6e-9d55-2f1f3a9c1b77',
  name: 'mobilefacenet-512',
  imageSha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
};

/** The path of an operation of the OpenAPI document, with a value in place of each parameter. */
export function exampleAddress(path: string): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = VALUES[name];
    if (value == null) throw new Error(`No value for the path parameter ${name}.`);
    return value;
  });
}
