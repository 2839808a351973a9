export { FakeFaceModel, type FakeFace, type FakeImage } from './face/fake-face-model';
