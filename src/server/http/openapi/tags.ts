/** Tag of the routes in DeepFace's format, which have their own errors and token. */
export const DEEPFACE_TAG = 'DeepFace API';

/** Groups of operations, in the order of the documentation. */
export const TAGS = [
  { name: 'Faces', description: 'Verify, detect, analyze and represent faces in images. Nothing is stored.' },
  {
    name: 'Identification',
    description:
      'Search a gallery for the people in an image (1:N), or verify an image against one subject (1:1).',
  },
  { name: 'Galleries', description: 'Collections of subjects. Each is bound to one embedder.' },
  { name: 'Subjects', description: 'People of a gallery, with metadata, consent and expiry.' },
  { name: 'References', description: 'Enrolled faces of a subject, from images or embeddings.' },
  { name: 'Service', description: 'Models, health and metrics.' },
  {
    name: 'Gallery administration',
    description: 'Export, import, migration to another embedder, and purge.',
  },
  {
    name: 'Model administration',
    description: 'Load, warm, swap and unload models of the running service; its state and its cache.',
  },
  {
    name: DEEPFACE_TAG,
    description:
      "The REST API of DeepFace, for existing clients, with DeepFace's fields, answers and errors. The header `x-likeness-substitute` names the models that answered in place of those asked for.",
  },
] as const;
