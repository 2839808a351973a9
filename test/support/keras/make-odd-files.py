"""Writes odd-files.json: HDF5 files with what h5wasm cannot write, gzip and base64. Needs h5py 3.16; run by hand.

All hold the small network of import-files.mjs; the tensor conv/conv/kernel:0 is what is odd. What other files are named
is there on every Linux, so that following them would give values.
"""
import base64, gzip, json, os, tempfile
import h5py, numpy as np

SHAPES = {
    'conv': {'kernel:0': (3, 3, 3, 2), 'bias:0': (2,)},
    'norm': {'gamma:0': (2,), 'beta:0': (2,), 'moving_mean:0': (2,), 'moving_variance:0': (2,)},
    'out': {'kernel:0': (8, 4), 'bias:0': (4,)},
}


def virtual(group, name, shape):
    layout = h5py.VirtualLayout(shape=shape, dtype='<f4')
    layout[...] = h5py.VirtualSource('/etc/passwd', 'x', shape=shape)
    group.create_virtual_dataset(name, layout)


ODD = {
    'virtual': virtual,
    'external': lambda g, n, s: g.create_dataset(n, shape=s, dtype='<f4', external=[('/etc/passwd', 0, 216)]),
    'float16': lambda g, n, s: g.create_dataset(n, data=np.full(s, 0.5, '<f2')),
    'float64': lambda g, n, s: g.create_dataset(n, data=np.full(s, 0.5, '<f8')),
    'big-endian': lambda g, n, s: g.create_dataset(n, data=np.full(s, 0.5, '>f4')),
    'scalar': lambda g, n, s: g.create_dataset(n, data=np.float32(0.5)),
    'no storage': lambda g, n, s: g.create_dataset(n, shape=s, dtype='<f4'),
    'names of any length': lambda g, n, s: g.create_dataset(n, data=np.full(s, 0.5, '<f4')),
}

files = {}
for kind, write in ODD.items():
    path = os.path.join(tempfile.mkdtemp(), 'weights.h5')
    with h5py.File(path, 'w') as file:
        encode = (lambda names: list(names)) if kind == 'names of any length' else (lambda names: [n.encode() for n in names])
        file.attrs['layer_names'] = encode(SHAPES)
        for layer, tensors in SHAPES.items():
            group = file.create_group(layer)
            group.attrs['weight_names'] = encode(f'{layer}/{name}' for name in tensors)
            for name, shape in tensors.items():
                inner = group.require_group(layer)
                if (layer, name) == ('conv', 'kernel:0'):
                    write(inner, name, shape)
                else:
                    inner.create_dataset(name, data=np.full(shape, 0.5, '<f4'))
    with open(path, 'rb') as file:
        files[kind] = base64.b64encode(gzip.compress(file.read(), 9, mtime=0)).decode()
with open(os.path.join(os.path.dirname(__file__), 'odd-files.json'), 'w') as file:
    json.dump(files, file, indent=2)
    file.write('\n')
