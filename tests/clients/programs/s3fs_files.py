"""s3fs, and with it aiobotocore: files, copies, ranges, many parts."""

import json
import os
import sys

import s3fs

bucket = sys.argv[1]
files = s3fs.S3FileSystem()
files.mkdir(bucket)
result = {}
with files.open(f"{bucket}/a/b.txt", "w") as file:
    file.write("hello")
large = os.urandom(60 * 2**20)
files.pipe(f"{bucket}/large.bin", large)
files.copy(f"{bucket}/a/b.txt", f"{bucket}/c.txt")
result["found"] = sorted(name.partition("/")[2] for name in files.find(bucket))
result["read"] = files.cat_file(f"{bucket}/c.txt").decode()
result["range"] = files.cat_file(f"{bucket}/c.txt", start=1, end=3).decode()
result["large"] = files.cat_file(f"{bucket}/large.bin") == large
result["size"] = files.info(f"{bucket}/large.bin")["size"]
files.rm(f"{bucket}/a", recursive=True)
result["left"] = sorted(name.partition("/")[2] for name in files.find(bucket))
print(json.dumps(result))
