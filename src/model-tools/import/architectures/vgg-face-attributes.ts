import type { ModelTask } from '../../../models/model-card';
import { type KerasArchitecture, colorInput } from './architecture';
import { buildDescriptor, VGG_LICENSE } from './vgg-face';

/**
 * An attribute network of DeepFace: VGG-Face, fine-tuned with another last layer.
 *
 * @see serengil/deepface@05dbc80:deepface/models/demography/Age.py, 0bb94a1:deepface/models/demography/Gender.py and
 * Race.py
 */
function attributeNetwork(
  task: ModelTask,
  classes: number,
  card: Pick<KerasArchitecture['card'], 'title' | 'source' | 'labels'>,
): KerasArchitecture {
  return {
    build: (net) => {
      const descriptor = net.dropout(buildDescriptor(net));
      const scores = net.flatten(net.conv(descriptor, classes, 1, { name: 'predictions' }));
      net.output('scores', net.activation(scores, 'softmax'));
    },
    card: {
      ...card,
      task,
      family: 'upright-crop',
      input: colorInput(224, 224, 8),
      outputs: [{ name: 'scores', dims: [-1, classes] }],
      license: VGG_LICENSE,
    },
  };
}

/** The age is the expected value over its classes, 0 to 100 years. */
export const AGE = attributeNetwork('age', 101, {
  title: 'Age (DeepFace)',
  source: 'age_model_weights.h5 of the release v1.0 of serengil/deepface_models',
});

export const GENDER = attributeNetwork('gender', 2, {
  title: 'Gender (DeepFace)',
  labels: ['female', 'male'],
  source: 'gender_model_weights.h5 of the release v1.0 of serengil/deepface_models',
});

export const RACE = attributeNetwork('race', 6, {
  title: 'Race (DeepFace)',
  labels: ['asian', 'indian', 'black', 'white', 'middle eastern', 'latino hispanic'],
  source: 'race_model_single_batch.h5 of the release v1.0 of serengil/deepface_models',
});
