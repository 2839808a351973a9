import { Body, Controller, type INestApplication, Module, Post } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { FaceModel, FaceModule, VerificationService } from '../../src';
import { FakeFaceModel } from '../../src/testing';

/* An app of its own that verifies faces without the service: the example of README. */

@Controller('badges')
class BadgeController {
  constructor(private readonly verification: VerificationService) {}

  @Post('check')
  async check(@Body() { photo, camera }: { photo: string; camera: string }) {
    const { verified, distance } = await this.verification.verify(
      Buffer.from(camera, 'base64'),
      Buffer.from(photo, 'base64'),
      { faceSelection: 'single' },
    );
    return { verified, distance };
  }
}

@Module({
  imports: [FaceModule.forRoot({})],
  controllers: [BadgeController],
})
class BadgeModule {}

describe('FaceModule in another Nest app', () => {
  const photo = Buffer.from('photo on the badge');
  const sameFace = Buffer.from('the same face at the door');
  const otherFace = Buffer.from('another face at the door');
  const model = new FakeFaceModel()
    .addImage(photo, { faces: [{ person: 'alice' }] })
    .addImage(sameFace, { faces: [{ person: 'alice' }] })
    .addImage(otherFace, { faces: [{ person: 'bob' }] });
  let app: INestApplication;

  beforeAll(async () => {
    const moduleRef = await Test.createTestingModule({ imports: [BadgeModule] })
      .overrideProvider(FaceModel)
      .useValue(model)
      .compile();
    app = moduleRef.createNestApplication();
    await app.init();
  });

  const check = (camera: Buffer) =>
    request(app.getHttpServer())
      .post('/badges/check')
      .send({ photo: photo.toString('base64'), camera: camera.toString('base64') });

  it('verifies the same person', async () => {
    const { body } = await check(sameFace);
    expect(body).toEqual({ verified: true, distance: 0 });
  });

  it('does not verify another one', async () => {
    const { body } = await check(otherFace);
    expect(body.verified).toBe(false);
  });

  it('closes the model with the app', async () => {
    await app.close();
    expect(model.readiness().ready).toBe(false);
  });
});
