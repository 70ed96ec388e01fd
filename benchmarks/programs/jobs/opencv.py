"""Computer vision with OpenCV: photographs aligned, fused, denoised and matched in stereo, at several sizes."""

import cv2
import numpy as np
from skimage import data

SCALES = (1.0, 1.6, 2.3)
cv2.setNumThreads(1)


def align(scene, other):
    """The other photograph, warped onto the scene by matching features."""
    orb = cv2.ORB_create(2000)
    (points, found), (other_points, other_found) = (orb.detectAndCompute(each, None) for each in (scene, other))
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(found, other_found)
    matches = sorted(matches, key=lambda match: match.distance)[:200]
    here = np.float32([points[match.queryIdx].pt for match in matches])
    there = np.float32([other_points[match.trainIdx].pt for match in matches])
    cv2.setRNGSeed(0)
    homography, _ = cv2.findHomography(there, here, cv2.RANSAC, 3.0)
    return cv2.warpPerspective(other, homography, scene.shape[1::-1])


def fuse(scene, other):
    """Mean of the two, weighted by how sharp each is."""
    weights = [cv2.GaussianBlur(np.abs(cv2.Laplacian(each, cv2.CV_32F)), (0, 0), 5) + 1e-3 for each in (scene, other)]
    total = scene.astype(np.float32) * weights[0] + other.astype(np.float32) * weights[1]
    return np.clip(total / (weights[0] + weights[1]), 0, 255).astype(np.uint8)


def depth(left, right):
    left, right = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (left, right))
    return cv2.StereoBM_create(64, 15).compute(left, right).astype(np.float32) / 16


def work():
    photographs = [data.astronaut(), data.retina()]
    left, right, _ = data.stereo_motorcycle()
    turn = cv2.getRotationMatrix2D((200, 200), 7, 1.02)
    results = []
    for scale in SCALES:
        for photograph in photographs:
            scene = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            other = cv2.GaussianBlur(cv2.warpAffine(scene, turn, scene.shape[1::-1]), (0, 0), 1.5)
            fused = fuse(scene, align(scene, other))
            smooth = cv2.bilateralFilter(fused, 5, 40, 40)
            edges = cv2.Canny(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), 50, 150)
            results += [smooth.mean(axis=0), edges.sum(axis=1, dtype=np.int64)]
        pair = [cv2.resize(each, None, fx=scale, fy=scale) for each in (left, right)]
        results.append(depth(*pair).mean(axis=0))
    return results
